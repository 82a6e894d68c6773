"""Networks on ONNX Runtime: on a CPU, and on a GPU where a graph is not for torch."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from stageline.core.errors import ModelError
from stageline.inference.graph import Signature
from stageline.inference.network import FloatArray, reason

CUDA = "CUDAExecutionProvider"
HOW_TO_GET_CUDA = "pip install onnxruntime-gpu in place of onnxruntime, which has no CUDA"
onnxruntime.disable_telemetry_events()  # what runs here is not reported to anyone
SILENT = 4  # errors arrive as exceptions; its log lines would mix with ours
onnxruntime.set_default_logger_severity(SILENT)


class OnnxRuntime:
    """See `stageline.inference.Network`. Always float32: ONNX Runtime has no shorter floats for a CPU."""

    def __init__(self, onnx: bytes, signature: Signature, name: str, threads: int, device: str = "cpu") -> None:
        """Load an ONNX file, to compute each call on `threads` cores, or on the GPU ``cuda:N``.

        Raises:
            ModelError: the network cannot be run, or this build of ONNX Runtime has no CUDA.
        """
        if device != "cpu" and not has_cuda():
            raise ModelError(f"{name} cannot be loaded on {device}: {HOW_TO_GET_CUDA}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = SILENT
        # A worker shares its cores with others: waiting threads must not spin.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Every picture has its own shape: a memory plan would be kept for each.
        options.enable_mem_pattern = False
        self.name, self.where = name, f"onnxruntime {device} float32"
        self._signature = signature
        try:
            self._session = onnxruntime.InferenceSession(onnx, options, providers=_providers(device))
        except Exception as error:  # ONNX Runtime's exceptions have no common base below Exception
            raise ModelError(f"{name} cannot be loaded: {reason(error)}") from error
        if device != "cpu" and CUDA not in self._session.get_providers():  # ONNX Runtime falls back to the CPU silently
            raise ModelError(f"{name} cannot be loaded on {device}: ONNX Runtime finds no CUDA that fits it")
        self._inputs = [array.name for array in signature.inputs]

    def run(self, *inputs: npt.NDArray[Any]) -> tuple[FloatArray, ...]:
        """Compute the outputs; see Network."""
        self._signature.check(self.name, inputs)
        try:
            outputs = self._session.run(None, dict(zip(self._inputs, inputs, strict=True)))
        except Exception as error:  # as above
            shapes = [list(array.shape) for array in inputs]
            raise ModelError(f"{self.name} cannot take {shapes}: {reason(error)}") from error
        return tuple(output.astype(np.float32, copy=False) for output in outputs)


def has_cuda() -> bool:
    """Return whether the installed ONNX Runtime was built for NVIDIA's GPUs."""
    return CUDA in onnxruntime.get_available_providers()


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return ["CPUExecutionProvider"]
    # TF32 would round float32 to 10 bits of mantissa.
    return [(CUDA, {"device_id": device.partition(":")[2] or "0", "use_tf32": "0"}), "CPUExecutionProvider"]

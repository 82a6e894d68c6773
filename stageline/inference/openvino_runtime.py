"""Runs networks on OpenVINO, on a CPU; in bfloat16 if the CPU supports it."""

import io
import threading
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import properties
from openvino.frontend import FrontEndManager

from stageline.core.errors import ModelError
from stageline.inference.graph import Signature
from stageline.inference.network import FloatArray, reason

PRECISIONS = {openvino.Type.bf16: "bf16", openvino.Type.f16: "float16", openvino.Type.f32: "float32"}


class OpenVino:
    """See `stageline.inference.Network`.

    OpenVINO generates code for each shape that it meets, and keeps the code. That suits networks of fixed height and
    width; a network that takes each picture at its own size is slower, and grows (docs/decisions/0005-two-runtimes.md).
    """

    def __init__(self, onnx: bytes, signature: Signature, name: str, threads: int, precision: str = "auto") -> None:
        """Load an ONNX file, to compute each call on `threads` cores.

        Raises:
            ModelError: the network cannot be run.
        """
        options: dict[str, Any] = {
            properties.inference_num_threads(): threads,
            properties.num_streams(): 1,
            properties.hint.enable_cpu_pinning(): False,  # else all workers would be pinned to the same cores
        }
        if precision == "float32":
            options[properties.hint.inference_precision()] = openvino.Type.f32
        try:
            frontend = FrontEndManager().load_by_framework("onnx")  # other frontends read other formats
            network = _core().compile_model(frontend.convert(frontend.load(io.BytesIO(onnx))), "CPU", options)
            self._request = network.create_infer_request()
            used = network.get_property(properties.hint.inference_precision())
        except Exception as error:  # OpenVINO's exceptions have no common base below Exception
            raise ModelError(f"{name} cannot be loaded: {reason(error)}") from error
        self.name, self.where = name, f"openvino cpu {PRECISIONS[used]}"
        self._signature, self._lock = signature, threading.Lock()

    def run(self, *inputs: npt.NDArray[Any]) -> tuple[FloatArray, ...]:
        """Compute the outputs; see Network."""
        self._signature.check(self.name, inputs)
        arrays = {index: np.ascontiguousarray(array) for index, array in enumerate(inputs)}
        try:
            with self._lock:  # the results are in the request's own memory until they are copied
                self._request.infer(arrays, share_inputs=True)
                return tuple(np.array(output.data, np.float32) for output in self._request.output_tensors)
        except Exception as error:  # as above
            shapes = [list(array.shape) for array in inputs]
            raise ModelError(f"{self.name} cannot take {shapes}: {reason(error)}") from error


@cache
def _core() -> openvino.Core:
    return openvino.Core()

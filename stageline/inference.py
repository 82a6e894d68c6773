"""The one small inference runtime that every stage uses: an ONNX file on ONNX Runtime, on the CPU.

ONNX Runtime alone meets the speed target (see benchmarks/mtcnn.py), so there is no second CPU runtime.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from stageline.errors import ModelError

FloatArray = npt.NDArray[np.float32]

onnxruntime.disable_telemetry_events()  # nobody is told what runs here
onnxruntime.set_default_logger_severity(3)  # errors arrive as exceptions; warnings would stand between our log lines


class Network:
    """A loaded model. Calls are independent; one object may be used by several threads at a time."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load the ONNX file at `path`, to compute each call on `threads` cores.

        Raises ModelError when the file is missing or is not a model that can be run.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # as above
        # A worker shares its cores with others: waiting threads must not burn them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Every picture has a shape of its own: a memory plan per shape would be kept for ever.
        options.enable_mem_pattern = False
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions have no common base below Exception
            raise ModelError(f"cannot load the model {path.name}: {error}") from error
        self.path = path
        self._inputs = [put.name for put in self._session.get_inputs()]

    def run(self, *inputs: FloatArray) -> tuple[FloatArray, ...]:
        """Compute the model's outputs, in its order, for float32 arrays in the order of its inputs.

        Raises ModelError when the number, types or shapes of the inputs do not fit the model.
        """
        if len(inputs) != len(self._inputs):
            raise ModelError(f"{self.path.name} takes {len(self._inputs)} inputs, got {len(inputs)}")
        try:
            return tuple(self._session.run(None, dict(zip(self._inputs, inputs, strict=True))))
        except Exception as error:  # as above
            raise ModelError(f"{self.path.name} cannot take {[put.shape for put in inputs]}: {error}") from error

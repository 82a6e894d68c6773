"""The interface of every runtime: a loaded network."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


class Network(Protocol):
    """A loaded network. Calls are independent; one object may be used by several threads at a time."""

    name: str
    """Its name in messages, such as ``yolox-nano@0.1.1-1/model.onnx``."""
    where: str
    """Its runtime, device and precision, such as ``openvino cpu bf16``."""

    def run(self, *inputs: npt.NDArray[Any]) -> tuple[FloatArray, ...]:
        """Compute the outputs, in the network's order and as float32, for arrays in the order of its inputs.

        Raises:
            ModelError: the number, types or shapes of the inputs do not fit the network.
        """


def reason(error: Exception) -> str:
    """Return a runtime's error message in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300] or type(error).__name__

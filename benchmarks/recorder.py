"""Records the inputs and outputs of a network."""

from typing import Any

import numpy.typing as npt

from stageline.inference import FloatArray, Network


class Recorder:
    """A network that records copies of its inputs and outputs, since callers reuse their arrays."""

    def __init__(self, network: Network) -> None:
        self._network, self.name, self.where = network, network.name, network.where
        self.calls: list[list[npt.NDArray[Any]]] = []
        self.outputs: list[list[FloatArray]] = []

    def run(self, *inputs: npt.NDArray[Any]) -> tuple[FloatArray, ...]:
        """Compute; see Network."""
        found = self._network.run(*inputs)
        self.calls.append([array.copy() for array in inputs])
        self.outputs.append([array.copy() for array in found])
        return found

"""Records a network's hundreds of CUDA kernels once per shape, and starts them with one call."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

Tensors = Sequence[Any]
Compute = Callable[[Tensors], Tensors]
AFTER = 3  # calls: a less frequent shape is not worth recording
MAX_SHAPES = 16  # each keeps its inputs and outputs on the GPU
MAX_COUNTED = 1024
WARM_UP = 3  # calls before recording, in which libraries choose kernels and allocate memory


class PerShape:
    """Runs a computation; records and replays it for frequent shapes. For one thread at a time."""

    def __init__(self, compute: Compute, record: Callable[[Tensors], Compute]) -> None:
        """Replay the recording that `record` makes for inputs of given shapes; if that fails, run `compute`."""
        self._compute, self._record = compute, record
        self._recorded: dict[Any, Compute] = {}
        self._seen: Counter[Any] = Counter()
        self._possible = True

    def __call__(self, inputs: Tensors) -> Tensors:
        """Return the outputs, which the next call may overwrite."""
        shape = tuple((tuple(tensor.shape), tensor.dtype) for tensor in inputs)
        if shape not in self._recorded and self._is_worth_it(shape):
            try:
                self._recorded[shape] = self._record(inputs)
            except RuntimeError:  # it waits for its own results, as a loop or NonMaxSuppression does
                self._possible = False
        return self._recorded.get(shape, self._compute)(inputs)

    def _is_worth_it(self, shape: Any) -> bool:
        if not self._possible or len(self._recorded) >= MAX_SHAPES:
            return False
        if len(self._seen) >= MAX_COUNTED:
            self._seen.clear()
        self._seen[shape] += 1
        return self._seen[shape] >= AFTER


class Recording:
    """A computation on inputs of fixed shapes, as a CUDA graph on the current device."""

    def __init__(self, compute: Compute, inputs: Tensors, pool: Any) -> None:
        """Record `compute`; recordings that share a memory `pool` must not be replayed at the same time.

        Raises:
            RuntimeError: the computation cannot be recorded.
        """
        self._inputs = [tensor.cuda() for tensor in inputs]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                compute(self._inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile: only the calls and errors of this thread are recorded.
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._outputs = compute(self._inputs)

    def __call__(self, inputs: Tensors) -> Tensors:
        """Replay the computation for other inputs of the same shapes; the next call overwrites the outputs."""
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return self._outputs

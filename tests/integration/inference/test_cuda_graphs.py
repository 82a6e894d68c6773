"""CUDA graphs: what is recorded, how often, and when it is replayed.

That a GPU does it right is shown where there is one; the test is skipped without, also under CI=true.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stageline.inference import Options, open_network
from tests.support import onnx_graphs as graphs
from tests.support.places import missing


@pytest.fixture
def cuda_graphs() -> Any:
    """The module under test."""
    try:
        from stageline.inference import cuda_graphs
    except ImportError as error:
        missing(f"{error}: these tests need torch (`make test TRAIN=1`)")
    return cuda_graphs


@pytest.fixture
def torch(cuda_graphs: Any) -> Any:
    """Torch, as that module has it."""
    return cuda_graphs.torch


class Recorder:
    """Counts what is computed as ever, what is recorded and what is replayed, of shapes that it can record."""

    def __init__(self, *, possible: bool = True) -> None:
        self.done: list[str] = []
        self._possible = possible

    def compute(self, inputs: Sequence[Any]) -> Sequence[Any]:
        self.done.append("compute")
        return [2 * each for each in inputs]

    def record(self, inputs: Sequence[Any]) -> Any:
        self.done.append("record")
        if not self._possible:
            raise RuntimeError("operation not permitted when stream is capturing")

        def replay(given: Sequence[Any]) -> Sequence[Any]:
            assert [each.shape for each in given] == [each.shape for each in inputs]
            self.done.append("replay")
            return [2 * each for each in given]

        return replay


def test_a_shape_that_comes_again_is_recorded_once(torch: Any, cuda_graphs: Any) -> None:
    """The first calls compute; then one recording is made, and replayed from then on."""
    recorder = Recorder()
    run = cuda_graphs.PerShape(recorder.compute, recorder.record)
    x = torch.ones(1, 3)
    assert all(torch.equal(run([x])[0], 2 * x) for _ in range(cuda_graphs.AFTER + 2))
    assert recorder.done == ["compute"] * (cuda_graphs.AFTER - 1) + ["record"] + ["replay"] * 3


def test_recordings_are_bounded(torch: Any, cuda_graphs: Any) -> None:
    """More shapes than are kept are computed as ever, and shapes that come once leave nothing behind."""
    recorder = Recorder()
    run = cuda_graphs.PerShape(recorder.compute, recorder.record)
    for size in range(1, 2 * cuda_graphs.MAX_SHAPES):
        for _ in range(2 * cuda_graphs.AFTER):
            run([torch.ones(size)])
    assert recorder.done.count("record") == cuda_graphs.MAX_SHAPES
    for size in range(3 * cuda_graphs.MAX_COUNTED):
        run([torch.empty(0, size)])
    assert len(run._seen) <= cuda_graphs.MAX_COUNTED


def test_what_cannot_be_recorded_is_tried_once(torch: Any, cuda_graphs: Any) -> None:
    """A network that waits for its own results runs without CUDA graphs, in every shape."""
    recorder = Recorder(possible=False)
    run = cuda_graphs.PerShape(recorder.compute, recorder.record)
    for size in (1, 2):
        for _ in range(2 * cuda_graphs.AFTER):
            assert torch.equal(run([torch.ones(size)])[0], 2 * torch.ones(size))
    assert recorder.done.count("record") == 1
    assert recorder.done.count("compute") == 4 * cuda_graphs.AFTER


def test_a_gpu_records_each_shape(torch: Any) -> None:
    """Shapes in turn, more of them than are recorded, give their own results, and the memory stays bounded."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    onnx = graphs.convolution(half=True)
    network, on_cpu = (open_network(onnx, "test", Options(device)) for device in ("cuda", "cpu"))
    for turn in range(5):
        for size in range(8, 32):
            x = np.random.default_rng(turn).uniform(0, 255, (1, 3, size, size)).astype(np.float32)
            np.testing.assert_allclose(network.run(x)[0], on_cpu.run(x)[0], rtol=0.02, atol=2)
    assert torch.cuda.memory_reserved() < 2**30

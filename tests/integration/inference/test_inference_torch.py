"""Networks on torch: converted from the same ONNX bytes, at float32 and at half, and ready for a GPU.

What only a GPU can show is skipped without one, also under CI=true: such hardware cannot be had there.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stageline.core.errors import ModelError
from stageline.inference import Network, Options, graph, open_network, signature
from stageline.inference import open as opening
from tests.support import onnx_graphs as graphs
from tests.support.places import missing

FLOAT32 = Options(precision="float32")


@pytest.fixture
def torch() -> Any:
    """Torch, and what converts to it."""
    try:
        import onnx2torch  # noqa: F401
        import torch
    except ImportError as error:
        missing(f"{error}: these tests need torch and onnx2torch (`make test TRAIN=1`)")
    torch.set_num_threads(1)  # with more it waits for them, spinning, and slows down whatever else runs
    return torch


@pytest.fixture
def cuda(torch: Any) -> Any:
    """Torch with a GPU. Without one the test is skipped, whatever CI says: see above."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch


def on_torch(onnx: bytes, device: str = "cpu", precision: str = "auto", **more: Any) -> Network:
    """A network on torch."""
    from stageline.inference.torch_runtime import TorchNetwork

    return TorchNetwork(graph.read(onnx, "test"), signature(onnx), "test", device, precision, **more)


def pixels(shape: Sequence[int], seed: int = 0) -> NDArray[np.float32]:
    """Noise of 0..255."""
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def installed(models_dir: Path) -> list[tuple[bytes, tuple[int, ...]]]:
    """The detectors' networks, each with the shape of an input."""
    shapes = {"pnet": (1, 3, 51, 68), "rnet": (5, 3, 24, 24), "onet": (5, 3, 48, 48), "model": (1, 3, 96, 160)}
    files = [*models_dir.glob("yolox-nano/*/*.onnx"), *models_dir.glob("mtcnn/*/*.onnx")]
    return [(path.read_bytes(), shapes[path.stem]) for path in sorted(files)]


def test_small_networks_are_converted(torch: Any) -> None:
    """Halved and shared weights, constants, left-out inputs, computed shapes, bytes and whole numbers."""
    x = pixels((2, 3, 8, 12))
    picture = x[:1].transpose(0, 2, 3, 1).astype(np.uint8)
    cases = [(graphs.convolution(half=half), x) for half in (False, True)]
    for onnx, given in [*cases, (graphs.reshaped(), x), (graphs.constants(), x), (graphs.numbers(), picture)]:
        expected = open_network(onnx, "test", FLOAT32).run(given)
        found = on_torch(onnx).run(given)
        assert [(each.dtype, each.shape) for each in found] == [(np.float32, each.shape) for each in expected]
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_it_says_where_it_runs(torch: Any) -> None:
    """Runtime, device and precision."""
    relu = graphs.relu().SerializeToString()
    assert on_torch(relu).where == "torch cpu float32"
    assert on_torch(relu, precision="float16").where == "torch cpu float16"


def test_what_it_cannot_take_is_a_sentence(torch: Any) -> None:
    """Wrong inputs, and those on which a layer fails, raise ModelError."""
    network = on_torch(graphs.convolution(half=False))
    with pytest.raises(ModelError, match="test takes float32"):
        network.run(np.zeros((1, 3, 8, 8), np.uint8))
    with pytest.raises(ModelError, match=r"test cannot take \[\[1, 3, 0, 0\]\] on torch cpu float32: "):
        network.run(np.zeros((1, 3, 0, 0), np.float32))


def test_what_float16_cannot_hold_is_a_sentence(torch: Any) -> None:
    """An overflow is never a finding: the setting that helps is named."""
    network = on_torch(graphs.relu().SerializeToString(), precision="float16")
    with pytest.raises(ModelError, match="float16 cannot hold: set INFERENCE_PRECISION=float32"):
        network.run(np.full((1, 3, 8, 8), 1e5, np.float32))


def test_arrays_are_taken_as_they_come(torch: Any) -> None:
    """Turned, reversed and read-only ones, without a warning."""
    x = pixels((1, 3, 8, 8))
    x.setflags(write=False)
    network = on_torch(graphs.relu().SerializeToString())
    for given in (x, x[..., ::-1], x.transpose(0, 1, 3, 2)):
        np.testing.assert_array_equal(network.run(given)[0], given)


def test_a_loop_is_for_onnx_runtime(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What onnx2torch cannot convert goes to ONNX Runtime's CUDA, where that is installed; else a sentence says how."""
    from stageline.inference import onnx_runtime

    onnx = graphs.loop().SerializeToString()
    given: list[Any] = []

    def opened() -> None:
        opening.on_gpu(onnx, graph.read(onnx, "loop"), "loop", FLOAT32, "cuda:0")

    monkeypatch.setattr(onnx_runtime, "has_cuda", lambda: False)
    with pytest.raises(ModelError, match=r"loop cannot be converted to torch: .*Loop.*pip install onnxruntime-gpu"):
        opened()
    monkeypatch.setattr(onnx_runtime, "OnnxRuntime", lambda *arguments: given.append(arguments))
    opened()
    assert [(arguments[0], arguments[-1]) for arguments in given] == [(onnx, "cuda:0")]


def test_auto_falls_back_to_the_cpu(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DEVICE=auto a network that is not for the GPU runs on the CPU; with DEVICE=cuda it is refused."""
    from stageline.inference import onnx_runtime

    monkeypatch.setattr(opening.devices, "choose", lambda _: "cuda:0")
    monkeypatch.setattr(onnx_runtime, "has_cuda", lambda: False)
    onnx = graphs.loop().SerializeToString()
    assert open_network(onnx, "loop", Options("auto")).where == "onnxruntime cpu float32"
    with pytest.raises(ModelError, match="cannot be converted"):
        open_network(onnx, "loop", Options("cuda"))


def test_shapes_do_not_wait_for_the_gpu(torch: Any, models_dir: Path) -> None:
    """On torch's device without memory, where nothing can be read back, every network gives outputs of the right shape.

    A CUDA graph can be recorded of such a network only.
    """
    from stageline.inference.from_onnx import convert

    cases = [*installed(models_dir), (graphs.reshaped(), (2, 3, 8, 8)), (graphs.convolution(half=True), (2, 3, 8, 8))]
    for onnx, shape in cases:
        module = convert(graph.read(onnx, "test"), "test", torch.device("meta"), torch.float16)
        found = module(torch.empty(shape, dtype=torch.float16, device="meta"))
        (expected,) = open_network(onnx, "test", FLOAT32).run(pixels(shape))
        assert (found.dtype, tuple(found.shape)) == (torch.float16, expected.shape)


def test_half_precision_is_close(torch: Any, models_dir: Path) -> None:
    """In float16, as on a GPU, the detectors' networks give what they give in float32, within a hundredth."""
    for onnx, shape in installed(models_dir):
        x = pixels(shape)
        (expected,) = open_network(onnx, "test", FLOAT32).run(x)
        (found,) = on_torch(onnx, precision="float16").run(x)
        assert np.abs(found - expected).mean() < 0.01 * np.abs(expected).mean()


def test_nothing_of_this_is_imported_for_a_cpu() -> None:
    """DEVICE=cpu, and DEVICE=auto where there is no driver, load no torch, even where it is installed."""
    import subprocess

    code = (
        "import sys; from stageline.inference import Options, device, open_network\n"
        "from tests.support import onnx_graphs\n"
        "device._has_driver = lambda: False\n"
        "for name in ('cpu', 'auto'): open_network(onnx_graphs.relu().SerializeToString(), 'relu', Options(name))\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_a_gpu_computes_the_same(cuda: Any, models_dir: Path, precision: str) -> None:
    """On the GPU, before and after a CUDA graph is recorded: at float32 as on the CPU, at half within a hundredth."""
    for onnx, shape in installed(models_dir):
        network = on_torch(onnx, "cuda:0", precision)
        assert network.where == f"torch cuda:0 {'float16' if precision == 'auto' else 'float32'}"
        for seed in range(6):
            x = pixels(shape, seed)
            (expected,) = open_network(onnx, "test", FLOAT32).run(x)
            (found,) = network.run(x)
            close = 0.01 if precision == "auto" else 1e-4
            assert np.abs(found - expected).mean() < close * np.abs(expected).mean()

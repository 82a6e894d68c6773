"""Networks on a CPU: two runtimes behind one interface, and how one of them, or a GPU, is chosen."""

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.inference import Options, open_network, signature
from stageline.inference import device as devices
from stageline.inference import open as opening
from tests.support import onnx_graphs as graphs

RUNTIMES = ("onnxruntime", "openvino")
FLOAT32 = Options(precision="float32")


def test_a_convolution_is_the_same_on_both() -> None:
    """At float32, in any batch and size, with weights stored as float32 or float16."""
    for shape in ((1, 3, 16, 16), (5, 3, 9, 33)):
        x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        found = [
            open_network(graphs.convolution(half=half), "conv", FLOAT32, runtime).run(x)[0]
            for runtime in RUNTIMES
            for half in (False, True)
        ]
        for other in found[1:]:
            np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_whole_numbers_come_as_float32(runtime: str) -> None:
    """Bytes go in as they are, outputs come in the file's order, and int64 becomes float32, as of SSD's heads."""
    picture = np.zeros((1, 4, 6, 3), np.uint8)
    picture[..., 2] = 200
    count, brightest, means = open_network(graphs.numbers(), "numbers", Options(), runtime).run(picture)

    assert [output.dtype for output in (count, brightest, means)] == [np.float32] * 3
    assert (count, brightest.tolist(), means.tolist()) == (3, [2], [[0, 0, 200]])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_shapes_are_computed_and_loops_are_run(runtime: str) -> None:
    """What torch cannot convert runs on both."""
    x = np.arange(24, dtype=np.float32).reshape(1, 3, 2, 4)
    assert open_network(graphs.reshaped(), "reshaped", FLOAT32, runtime).run(x)[0].shape == (1, 3, 8)
    looped = open_network(graphs.loop().SerializeToString(), "loop", FLOAT32, runtime).run(x)[0]
    np.testing.assert_array_equal(looped, x + 3)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_wrong_inputs_are_a_sentence(runtime: str) -> None:
    """Another number, type or shape of inputs raises ModelError with the network's name and what it takes."""
    network = open_network(graphs.convolution(half=True), "conv", Options(), runtime)
    good = np.zeros((1, 3, 8, 8), np.float32)
    for inputs in ((), (good, good), (good.astype(np.float64),), (good[:, :2],), (good[0],)):
        with pytest.raises(ModelError, match=r"conv takes (1 inputs|float32 \['any', 3, 'any', 'any'\] as x), got"):
            network.run(*inputs)
    assert network.run(good)[0].shape == (1, 8, 8, 8)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_one_network_serves_several_threads(runtime: str) -> None:
    """Each thread gets the results of its own inputs."""
    network = open_network(graphs.relu().SerializeToString(), "relu", FLOAT32, runtime)
    wrong: list[int] = []

    def use(number: int) -> None:
        x = np.full((1, 3, 8, 8 + number), number, np.float32)
        wrong.extend(number for _ in range(100) if not np.array_equal(network.run(x)[0], x))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_network_says_where_it_runs() -> None:
    """Runtime, device and precision, as they are: OpenVINO takes bfloat16 by itself where the CPU has it."""
    relu = graphs.relu().SerializeToString()
    assert open_network(relu, "relu", Options(), "onnxruntime").where == "onnxruntime cpu float32"
    assert open_network(relu, "relu", FLOAT32, "openvino").where == "openvino cpu float32"
    cpu = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if "avx512_bf16" in cpu:
        assert open_network(relu, "relu", Options(), "openvino").where == "openvino cpu bf16"


def test_the_other_runtime_serves_where_one_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may carry one of the two; with neither, a sentence says what to install."""
    absent = {"openvino"}
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name in absent else object())
    relu = graphs.relu().SerializeToString()
    assert open_network(relu, "relu", Options(), "openvino").where.startswith("onnxruntime")
    absent.add("onnxruntime")
    with pytest.raises(ModelError, match="pip install openvino"):
        open_network(relu, "relu", Options(), "openvino")


def test_the_signature_is_what_the_file_says() -> None:
    """Names, types and shapes, None for what is free; weights that old files list as inputs are none."""
    found = signature(graphs.numbers())
    assert [(each.name, each.dtype, each.shape) for each in found.inputs] == [("x", np.uint8, (1, None, None, 3))]
    assert [(each.name, each.dtype, each.shape) for each in found.outputs] == [
        ("count", np.int64, ()),
        ("brightest", np.int64, (1,)),
        ("means", np.float32, (1, 3)),
    ]
    old = onnx.load_model_from_string(graphs.convolution(half=False))
    old.graph.input.append(helper.make_tensor_value_info("bias", graphs.FLOAT, [8]))
    assert [each.name for each in signature(old.SerializeToString()).inputs] == ["x"]


def test_options_are_the_settings() -> None:
    """DEVICE, INFERENCE_THREADS and INFERENCE_PRECISION."""
    settings = Settings(device="cuda:1", inference_threads=3, inference_precision="float32")
    assert Options.of(settings) == Options("cuda:1", 3, "float32")


def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """DEVICE=cuda without torch, without a GPU, or with fewer, is a sentence that names DEVICE and says what to do."""
    relu = graphs.relu().SerializeToString()
    monkeypatch.setattr(devices, "has_torch", lambda: False)
    with pytest.raises(ModelError, match=r"DEVICE=cuda needs torch .*'stageline\[gpu\]', or set DEVICE=cpu"):
        open_network(relu, "relu", Options("cuda"))
    monkeypatch.setattr(devices, "has_torch", lambda: True)
    monkeypatch.setattr(devices, "_count", lambda: 0)
    with pytest.raises(ModelError, match="DEVICE=cuda:0: torch cannot use that GPU, it finds no GPU"):
        open_network(relu, "relu", Options("cuda:0"))
    monkeypatch.setattr(devices, "_count", lambda: 2)
    with pytest.raises(ModelError, match=r"DEVICE=cuda:2: torch cannot use that GPU, there are 2"):
        open_network(relu, "relu", Options("cuda:2"))


def test_auto_takes_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first GPU, or the CPU; where torch or the driver is missing, torch is not even asked."""
    monkeypatch.setattr(devices, "_count", lambda: 1)
    for torch, driver, expected in ((True, True, "cuda:0"), (True, False, "cpu"), (False, True, "cpu")):
        monkeypatch.setattr(devices, "has_torch", lambda torch=torch: torch)
        monkeypatch.setattr(devices, "_has_driver", lambda driver=driver: driver)
        assert devices.choose("auto") == expected
    monkeypatch.setattr(devices, "_count", lambda: pytest.fail("torch was asked"))
    assert devices.choose("auto") == "cpu"
    assert devices.choose("cpu") == "cpu"

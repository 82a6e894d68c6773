"""The same network finds the same on every runtime: exactly at float32, and as well as that in bfloat16 and half."""

import io
import warnings
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.accuracy import Seen, ap50, read_labels, read_names
from detect_service.faces import FaceDetector
from detect_service.objects import FoundObject, ObjectDetector
from models.training import cifar10, trained
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.inference import Network, Options, graph, open_network, signature
from stageline.registry.card import ModelFiles
from stageline.registry.repository import open_repository
from tests.support.places import missing

AUTO, FLOAT32 = Options(), Options(precision="float32")
MAX_PIXELS = 50_000_000
Open = Callable[[bytes], Network]


def on_torch(onnx: bytes, device: str = "cpu", precision: str = "float32") -> Network:
    """A network on torch."""
    try:
        import torch

        from stageline.inference.torch_runtime import TorchNetwork
    except ImportError as error:
        missing(f"{error}: parity with torch needs torch and onnx2torch (`make test TRAIN=1`)")
    torch.set_num_threads(1)  # with more it waits for them, spinning, and slows down whatever else runs
    return TorchNetwork(graph.read(onnx, "test"), signature(onnx), "test", device, precision)


def on_a_gpu(onnx: bytes) -> Network:
    """A network on a GPU, in half precision. There may be none, also under CI=true: it cannot be had there."""
    if not (find_spec("torch") and import_module("torch").cuda.is_available()):
        pytest.skip("no CUDA device")
    return on_torch(onnx, "cuda:0", "auto")


RUNTIMES: dict[str, Open] = {
    "openvino": lambda onnx: open_network(onnx, "test", FLOAT32, "openvino"),
    "torch": on_torch,
    "torch in half precision": lambda onnx: on_torch(onnx, precision="float16"),
    "openvino in its own precision": lambda onnx: open_network(onnx, "test", AUTO, "openvino"),
    "a GPU": on_a_gpu,
}
EXACT, SHORT = ("openvino", "torch"), ("torch in half precision", "openvino in its own precision", "a GPU")


def reference(onnx: bytes) -> Network:
    """What all are held against: ONNX Runtime, at float32."""
    return open_network(onnx, "test", FLOAT32, "onnxruntime")


@lru_cache
def exported(architecture: str) -> tuple[bytes, int, Any]:
    """A network with random weights, as torch exports it, the side of its input, and torch's own."""
    try:
        import torch
        import torchvision
        from facenet_pytorch import InceptionResnetV1

        from models.training import networks
    except ImportError as error:
        missing(f"{error}: exporting needs torch, torchvision and facenet-pytorch (`make test TRAIN=1`)")
    torch.manual_seed(1)
    torch.set_num_threads(1)
    make, side = {
        "resnet18, 32 pixels": (lambda: networks.build("resnet18", 10), 32),
        "squeezenet, 32 pixels": (lambda: networks.build("squeezenet1_1", 10), 32),
        "facenet": (InceptionResnetV1, 160),
        "mobilenet": (torchvision.models.mobilenet_v2, 96),
    }[architecture]
    module, file = make().eval(), io.BytesIO()
    free = {"pixels": {0: "batch"}, "found": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(2, 3, side, side),), file, input_names=["pixels"], output_names=["found"],
            dynamic_axes=free, opset_version=17, dynamo=False,
        )  # fmt: skip

    def by_torch(x: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return module(torch.from_numpy(x)).numpy()

    return file.getvalue(), side, by_torch


def cosines(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each row with its other."""
    lengths = np.linalg.norm(some, axis=1) * np.linalg.norm(others, axis=1)
    return (some * others).sum(axis=1) / lengths


@pytest.mark.parametrize("architecture", ["resnet18, 32 pixels", "squeezenet, 32 pixels", "facenet", "mobilenet"])
def test_exported_networks_agree(architecture: str) -> None:
    """At float32: the same top class, and outputs that differ in the last bits only, from torch's own as well."""
    onnx, side, by_torch = exported(architecture)
    x = np.random.default_rng(5).normal(size=(4, 3, side, side)).astype(np.float32)
    expected = by_torch(x)
    for run in (reference(onnx), *(RUNTIMES[name](onnx) for name in EXACT)):
        (found,) = run.run(x)
        assert found.argmax(axis=1).tolist() == expected.argmax(axis=1).tolist(), run.where
        assert cosines(found, expected).min() > 0.99999, run.where
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max(), run.where


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("architecture", ["resnet18, 32 pixels", "squeezenet, 32 pixels", "facenet"])
def test_short_floats_point_the_same_way(architecture: str, name: str) -> None:
    """In bfloat16 and half, a face's embedding and a picture's logits keep a cosine of 0.999."""
    onnx, side, by_torch = exported(architecture)
    x = np.random.default_rng(6).normal(size=(2, 3, side, side)).astype(np.float32)
    (found,) = RUNTIMES[name](onnx).run(x)
    assert cosines(found, by_torch(x)).min() > 0.999


def served(name: str, models_dir: Path) -> ModelFiles:
    """An installed model."""
    repository = open_repository(Settings(models_dir=models_dir))
    pointer = repository.pointer(name)
    assert pointer is not None
    return repository.load(name, pointer.version)


def pictures(folder: Path, most: int) -> list[tuple[Path, codec.Pixels]]:
    """The first pictures of a folder, decoded."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix == ".jpg"][:most]
    return [(path, codec.decode(path.read_bytes(), MAX_PIXELS)[0]) for path in paths]


def boxes(found: list[FoundObject]) -> NDArray[np.float64]:
    """Labels, scores and boxes as rows that can be compared, in an order that does not hang on the last bits."""
    rows = [(sum(map(ord, item.label)), item.score, *item.box) for item in found]
    return np.array(sorted(rows, key=lambda row: [round(value) for value in (row[0], *row[2:])]))


@pytest.mark.parametrize("name", EXACT)
def test_objects_are_the_same(name: str, models_dir: Path, data_dir: Path) -> None:
    """At float32 each runtime finds the same objects, their boxes within a pixel and their scores within 0.001."""
    model = served("yolox-nano", models_dir)
    ours, theirs = (ObjectDetector(make(model.network), model.card) for make in (reference, RUNTIMES[name]))
    compared = 0
    for path, picture in pictures(data_dir / "coco128" / "images", 6):
        expected, found = boxes(ours.detect(picture, 0.3)), boxes(theirs.detect(picture, 0.3))
        assert found.shape == expected.shape, path.name
        compared += len(found)
        if len(found):
            assert np.abs(found[:, 2:] - expected[:, 2:]).max() < 1, path.name
            assert np.abs(found[:, :2] - expected[:, :2]).max() < 0.001, path.name
    assert compared > 10


@pytest.mark.parametrize("name", EXACT)
def test_faces_are_the_same(name: str, models_dir: Path, data_dir: Path) -> None:
    """At float32 each runtime finds the same faces, their boxes and landmarks within a pixel."""
    model = served("mtcnn", models_dir)
    ours, theirs = (
        FaceDetector(*(make(model.files[f"{part}net.onnx"]) for part in "pro")) for make in (reference, RUNTIMES[name])
    )
    compared = 0
    for path, picture in pictures(data_dir / "faces", 3):
        small = codec.shrink(picture, *codec.fit(picture.shape[1], picture.shape[0], 640))
        expected, found = ours.detect(small), theirs.detect(small)
        assert len(found) == len(expected), path.name
        for one, other in zip(found, expected, strict=True):
            assert np.abs(np.array(one.box) - other.box).max() < 1, path.name
            assert np.abs(np.array(one.landmarks) - other.landmarks).max() < 1, path.name
        compared += len(found)
    assert compared > 2


def average_precision(network: Network, model: ModelFiles, folder: Path, most: int) -> float:
    """AP50 of a detector over the first pictures of COCO128, full size, in colour."""
    detector, names, seen = ObjectDetector(network, model.card), read_names(folder / "names.yaml"), []
    for path, picture in pictures(folder / "images", most):
        labelled = read_labels(folder / "labels" / f"{path.stem}.txt", names, picture.shape[1], picture.shape[0])
        found = [(item.label, item.score, item.box) for item in detector.detect(picture, 0.01)[:100]]
        seen.append(Seen(found, labelled))
    by_class = ap50(seen)
    return sum(by_class.values()) / len(by_class)


@pytest.mark.parametrize(
    ("name", "most"), [("openvino in its own precision", 128), ("a GPU", 128), ("torch in half precision", 8)]
)
def test_short_floats_find_as_much(name: str, most: int, models_dir: Path, data_dir: Path) -> None:
    """In bfloat16 and half, AP50 stays within 0.01; half on a CPU, which is slow at it, on a few pictures."""
    model, folder = served("yolox-nano", models_dir), data_dir / "coco128"
    found = average_precision(RUNTIMES[name](model.network), model, folder, most)
    exact = average_precision(reference(model.network), model, folder, most)
    assert exact > 0.4
    assert abs(found - exact) <= 0.01, f"AP50 {found:.4f}, at float32 {exact:.4f}"


@pytest.mark.parametrize(("name", "every"), [("openvino in its own precision", 5), ("a GPU", 1)])
def test_short_floats_classify_as_well(name: str, every: int, data_dir: Path) -> None:
    """In bfloat16 and half, the networks trained here lose at most 0.2 points of accuracy."""
    models = list(trained.versions())
    if not models:
        missing("models/trained holds no network: python -m models.training makes them")
    test = cifar10.load(data_dir / "cifar10", "test")
    test = test.take(np.arange(0, len(test), every))
    for model in models:
        found, exact = (trained.measure(make(model.network), test).accuracy for make in (RUNTIMES[name], reference))
        assert exact > 0.8, model.card.reference
        assert found >= exact - 0.002, f"{model.card.reference}: {found:.4f}, at float32 {exact:.4f}"

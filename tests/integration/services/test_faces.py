"""Face detection: the conversion trusts nothing, and the faces are facenet-pytorch's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detect_service.faces import FaceDetector
from stageline.core.errors import ModelError
from stageline.inference import FloatArray, Network, Options, open_network
from tests.support.places import missing


@pytest.fixture
def mtcnn_folder(models_dir: Path) -> Path:
    """Give the folder with pnet.onnx, rnet.onnx and onet.onnx."""
    return models_dir / "mtcnn" / "1"


@pytest.fixture
def networks(mtcnn_folder: Path) -> tuple["Watched", "Watched", "Watched"]:
    """Give P-, R- and O-Net, each of which writes down the shapes it was given."""
    pnet, rnet, onet = (Watched(opened(mtcnn_folder / f"{name}.onnx")) for name in ("pnet", "rnet", "onet"))
    return pnet, rnet, onet


def opened(path: Path) -> Network:
    """Open a network on one core."""
    return open_network(path.read_bytes(), path.name, Options())


class Watched:
    """A network that writes down the shapes it was given."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.name, self.where = network.name, network.where
        self.shapes: list[tuple[int, ...]] = []

    def run(self, *inputs: FloatArray) -> tuple[FloatArray, ...]:
        """Write the shape down, then compute as ever."""
        self.shapes.append(inputs[0].shape)
        return self._network.run(*inputs)


def test_wrong_inputs_are_a_model_error(mtcnn_folder: Path) -> None:
    """Inputs that do not fit the network raise ModelError."""
    network = opened(mtcnn_folder / "rnet.onnx")
    for inputs in ((), (np.zeros((1, 3, 9, 9), np.float32),), (np.zeros((1, 3), np.float32),)):
        with pytest.raises(ModelError, match=r"rnet\.onnx"):
            network.run(*inputs)


@pytest.mark.parametrize(
    "shape", [(0, 0), (0, 9), (1, 1), (11, 11), (12, 500), (39, 39), (39, 4000), (41, 3000), (3000, 41), (480, 640)]
)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_degenerate_pictures_have_no_faces(
    networks: tuple[Watched, Watched, Watched], shape: tuple[int, int], value: int
) -> None:
    """Empty, tiny, thin and plain pictures give no faces and no error."""
    assert FaceDetector(*networks).detect(np.full((*shape, 3), value, np.uint8)) == []


def test_wrong_arrays_and_settings_are_refused(networks: tuple[Watched, Watched, Watched]) -> None:
    """What is not an 8-bit colour picture, and settings without meaning, raise ValueError."""
    detector = FaceDetector(*networks)
    pictures: tuple[Any, ...] = (np.zeros((50, 50, 3)), np.zeros((50, 50), np.uint8), np.zeros((50, 50, 4), np.uint8))
    for picture in pictures:
        with pytest.raises(ValueError, match="uint8"):
            detector.detect(picture)
    with pytest.raises(ValueError, match="min_face"):
        FaceDetector(*networks, min_face=0)


def test_batches_are_bounded(networks: tuple[Watched, Watched, Watched]) -> None:
    """Thousands of candidates, some of them outside the picture, go through in batches of the given size."""
    picture = np.random.default_rng(2).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    detector = FaceDetector(*networks, thresholds=(0.001, 0.0001, 0.0001), batch=20)
    detector.detect(picture)
    for network in networks[1:]:
        assert max(shape[0] for shape in network.shapes) == 20
    assert sum(shape[0] for shape in networks[1].shapes) > 1000


def test_faces_are_those_of_facenet_pytorch(mtcnn_folder: Path, data_dir: Path) -> None:
    """On every test picture: the same faces, boxes within 2 pixels, scores within 0.02."""
    from benchmarks import mtcnn as comparison

    try:
        theirs = comparison.load_theirs()
    except ImportError as error:
        missing(f"{error}: parity needs torch, torchvision and facenet-pytorch (`make test TRAIN=1`)")
    pictures = comparison.read_pictures([data_dir / "coco128" / "images", data_dir / "faces"])
    parity, *_ = comparison.measure(comparison.load_ours(mtcnn_folder), theirs, pictures)
    assert parity.mismatches == []
    assert parity.theirs > 0

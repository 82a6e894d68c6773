"""Every kind of detector is read right: from graphs with the signatures of the real ones to boxes in the original."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest

from detect_service.adapters import ADAPTERS, AdapterInput, Candidates, suppressed
from detect_service.detectors import load_objects
from detect_service.service import Detect
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.pipeline.message import Message
from stageline.pipeline.stage import Task
from stageline.registry.card import ModelFiles
from stageline.registry.serving import Loaded
from tests.support.detector_graphs import SCORES, model, ssd_network, torchvision_ssd_network, yolox_network

RED_BOX, BLUE_BOX = (120, 60, 480, 300), (600, 240, 1080, 720)  # multiples of the steps of 300, 320 and 416 pixels
SIZES = {"ssd-mobilenet-v1": (1200, 900), "ssdlite320-mobilenet-v3": (1280, 960), "yolox-nano": (1664, 1248)}


def painted(size: tuple[int, int]) -> codec.Pixels:
    """A dark picture, BGR, with a red and a blue rectangle."""
    bgr = np.full((size[1], size[0], 3), 10, np.uint8)
    for (x1, y1, x2, y2), colour in ((RED_BOX, (0, 0, 250)), (BLUE_BOX, (250, 0, 0))):
        bgr[y1:y2, x1:x2] = colour
    return bgr


def cell(
    box: tuple[float, ...], stride: int, side: int, objectness: float, label: int, score: float
) -> tuple[int, list]:
    """The number of the YOLOX cell at a box's centre, and what it holds for that box, in pixels of the input."""
    x1, y1, x2, y2 = box
    column, row = ((x1 + x2) / 2 // stride, (y1 + y2) / 2 // stride)
    first = sum((side // before) ** 2 for before in (8, 16, 32) if before < stride)
    values = [(x1 + x2) / 2 / stride - column, (y1 + y2) / 2 / stride - row]
    values += [np.log((x2 - x1) / stride), np.log((y2 - y1) / stride), objectness, *[0.0] * label, score]
    return int(first + row * (side // stride) + column), values


def yolox_of_the_picture() -> bytes:
    """YOLOX that has the two rectangles, as a person and a car, each in two cells, and a bicycle that is unlikely."""
    quarter = [tuple(edge / 4 for edge in box) for box in (RED_BOX, BLUE_BOX)]
    cells = [
        cell(quarter[0], 8, 416, 1.0, 0, SCORES[0]),
        cell(quarter[0], 16, 416, 0.9, 0, 0.7),
        cell(quarter[1], 32, 416, 0.8, 2, 1.0),
        cell(quarter[1], 8, 416, 0.6, 2, 0.9),
        cell(quarter[0], 32, 416, 0.2, 1, 1.0),
    ]
    return yolox_network(dict(cells))


NETWORKS: Mapping[str, Any] = {
    "ssd-mobilenet-v1": ssd_network,
    "ssdlite320-mobilenet-v3": torchvision_ssd_network,
    "yolox-nano": yolox_of_the_picture,
}


def found_by_the_stage(chosen: ModelFiles, original: bytes, **more: Any) -> dict[str, Any]:
    """What the detect stage makes of a picture with that model, and no faces."""
    settings = Settings(detect_model=chosen.card.name, detect_on="original", **more)
    stage = Detect(settings)
    stage._objects.swap(Loaded(chosen.card, load_objects(chosen, settings)))
    message = Message.of({"image_id": "a", "original_path": "original/a.png", "path": "grayscale/a.jpg"})
    (output,) = stage.run([Task(message, {"original": original})])
    return dict(output.fields)


@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_are_found_in_the_originals_pixels(name: str) -> None:
    """Red is a person and blue a car, where they are: the colours, the axes, the scales and the labels are right."""
    chosen, size = model(name, NETWORKS[name]()), SIZES[name]
    original = cv2.imencode(".png", painted(size))[1].tobytes()

    fields = found_by_the_stage(chosen, original, face_max_side=2000)

    assert (fields["origin_w"], fields["origin_h"]) == size
    stamp = {"model": chosen.card.reference, "model_sha256": chosen.card.sha256}
    assert fields["detections"] == [
        {"label": "person", "score": 0.9, "box": list(map(float, RED_BOX)), **stamp},
        {"label": "car", "score": 0.8, "box": list(map(float, BLUE_BOX)), **stamp},
    ]
    assert fields["missing_models"] == ["mtcnn"]


def test_a_score_below_the_least_is_left_out() -> None:
    """DETECT_MIN_SCORE decides, whichever the network."""
    for name, network in NETWORKS.items():
        chosen = model(name, network())
        original = cv2.imencode(".png", painted(SIZES[name]))[1].tobytes()
        (only,) = found_by_the_stage(chosen, original, detect_min_score=0.85)["detections"]
        assert only["label"] == "person", name
        low = found_by_the_stage(chosen, original, detect_min_score=0.1)["detections"]
        assert [found["label"] for found in low] == ["person", "car", "bicycle"], name


@pytest.mark.parametrize(
    ("name", "network", "says"),
    [
        ("yolox-nano", ssd_network(), "takes .*, got"),
        ("ssd-mobilenet-v1", torchvision_ssd_network(), "takes .*, got"),
        ("yolox-nano", yolox_network({}, classes=3), r"\[1, 3549, 8\]; the adapter yolox reads \[1, 3549, 85\]"),
        ("yolox-nano", yolox_network({}, side=320), "takes .*, got"),
        ("ssdlite320-mobilenet-v3", yolox_network({}, side=320), r"torchvision-ssd reads \[n, 4\], \[n\], \[n\]"),
        ("ssd-mobilenet-v1", ssd_network(order=("number", "boxes", "scores", "classes")), r"ssd reads \[1, n, 4\]"),
        ("ssd-mobilenet-v1", ssd_network(order=("boxes", "classes", "scores")), r"ssd reads \[1, n, 4\]"),
        ("ssd-mobilenet-v1", ssd_network(scores=SCORES[:4]), r"ssd reads \[1, n, 4\], \[1, n\], \[1, n\], \[1\]"),
        ("ssd-mobilenet-v1", ssd_network(order=("boxes", "scores", "classes", "number")), "scores above 1"),
    ],
    ids=[
        "an SSD for YOLOX", "a float network for uint8", "other classes", "another size", "YOLOX for an SSD",
        "another order", "an output too few", "a score too few", "scores and classes swapped",
    ],
)  # fmt: skip
def test_a_network_of_the_wrong_shape_is_refused_when_it_is_loaded(name: str, network: bytes, says: str) -> None:
    """Before it serves a picture, with a sentence that names it, what it gives and what is read."""
    chosen = model(name, network)
    with pytest.raises(ModelError, match=f"{chosen.card.reference}/model.onnx.*{says}"):
        load_objects(chosen, Settings())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_outputs_at_all_are_refused(adapter: str) -> None:
    """Each adapter says what it reads."""
    with pytest.raises(ModelError, match=f"its outputs are none; the adapter {adapter} reads"):
        ADAPTERS[adapter]((), AdapterInput(416, 416, 80, 0.3))


def test_nothing_found_is_nothing() -> None:
    """Empty outputs have the right shape."""
    empty = np.empty((0, 4), np.float32)
    found = ADAPTERS["torchvision-ssd"]((empty, empty[:, 0], empty[:, 0]), AdapterInput(320, 320, 91, 0.3))
    assert found.boxes.shape == (0, 4)
    none = ADAPTERS["ssd"](
        (empty[None], empty[None, :, 0], empty[None, :, 0], np.zeros(1)), AdapterInput(300, 300, 91, 0.3)
    )
    assert none.scores.shape == none.labels.shape == (0,)


def test_of_overlapping_boxes_of_a_class_the_best_stays() -> None:
    """Another class, and a box that overlaps less, stay as well; the best comes first."""
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [8, 8, 18, 18]], np.float32)
    scores, labels = np.array([0.5, 0.9, 0.7, 0.6], np.float32), np.array([1, 1, 2, 1])
    kept = suppressed(Candidates(boxes, scores, labels))
    assert kept.scores.tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert kept.labels.tolist() == [1, 2, 1]
    assert kept.boxes.tolist() == boxes[[1, 2, 3]].tolist()

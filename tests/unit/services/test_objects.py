"""A picture becomes what a card asks for, and what is found in that is put back into the picture."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from detect_service.canvas import Canvas, letterbox
from detect_service.detectors import load_objects
from detect_service.objects import MAX_OBJECTS
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.inference.model_input import PAD
from tests.support.detector_graphs import SCORES, Graph, model, ssd_network, yolox_network
from tests.support.object_cases import BLUE, GREEN, RED, plain


def canvas(fit: str = "stretch", **changed: Any) -> Canvas:
    """What is made of an SSD's card with another input."""
    given = {"shape": [1, 3, 60, 80], **changed}
    return Canvas(model("ssd-mobilenet-v1", ssd_network(), input=given, preprocessing={"fit": fit}).card)


@pytest.mark.parametrize(("colour", "order"), [("RGB", (RED, GREEN, BLUE)), ("BGR", (BLUE, GREEN, RED))])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_channels_come_in_the_cards_order(colour: str, order: tuple[int, ...], dtype: str) -> None:
    """In planes or in pixels, as numbers of the card's type."""
    planes = canvas(colour=colour, dtype=dtype).place(plain(30, 30)).array
    assert (planes.shape, planes.dtype) == ((1, 3, 60, 80), np.dtype(dtype))
    assert planes[0, :, 59, 79].tolist() == list(order)
    pixels = canvas(colour=colour, dtype=dtype, layout="NHWC", shape=[1, 60, 80, 3]).place(plain(30, 30)).array
    assert (pixels.shape, pixels.dtype) == ((1, 60, 80, 3), np.dtype(dtype))
    assert pixels[0, 59, 79].tolist() == list(order)
    assert planes.flags["C_CONTIGUOUS"] and pixels.flags["C_CONTIGUOUS"]  # noqa: PT018


@pytest.mark.parametrize(
    ("changed", "red"),
    [
        ({}, RED),
        ({"range": [0, 1]}, RED / 255),
        ({"range": [-1, 1]}, RED / 127.5 - 1),
        ({"range": [0, 1], "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 0.5]}, (RED / 255 - 0.5) / 0.25),
        ({"mean": [127.5, 0, 0], "std": [128, 1, 1]}, (RED - 127.5) / 128),
    ],
)
def test_pixels_come_in_the_cards_range(changed: dict[str, Any], red: float) -> None:
    """From 0..255 to the card's range, then less its mean, divided by its deviation, each channel by its own."""
    array = canvas(**changed).place(plain(30, 30)).array
    assert array.dtype == np.float32
    np.testing.assert_allclose(array[0, 0], red, rtol=1e-5)
    low, high = changed.get("range", (0, 255))
    mean, std = (changed.get(key, [default] * 3)[2] for key, default in (("mean", 0), ("std", 1)))
    np.testing.assert_allclose(array[0, 2], (BLUE / 255 * (high - low) + low - mean) / std, rtol=1e-5)


@pytest.mark.parametrize("size", [(30, 40), (600, 800), (61, 79), (1, 1), (4000, 3)])
def test_stretched_boxes_come_back(size: tuple[int, int]) -> None:
    """The whole input is the whole picture, whatever its shape."""
    placed = canvas().place(plain(*size))
    whole = np.array([[0, 0, 80, 60], [20, 15, 40, 30], [-9, -9, 99, 99]], np.float32)
    back = placed.in_picture(whole, size[1], size[0])
    assert back[0].tolist() == back[2].tolist() == [0, 0, size[1], size[0]]
    np.testing.assert_allclose(back[1], np.array([size[1], size[0]] * 2) * [0.25, 0.25, 0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize("size", [(300, 400), (30, 40), (800, 600), (61, 79), (1, 1), (4000, 3)])
def test_letterboxed_pictures_keep_their_shape(size: tuple[int, int]) -> None:
    """At the top left, as large as fits, grey around it; with `least`, no more grey than to the next 32 pixels."""
    ratio = min(96 / size[0], 128 / size[1])
    rows, columns = (max(1, round(side * ratio)) for side in size)
    stepped = (-(-rows // 32) * 32, -(-columns // 32) * 32)
    for least, shape in ((False, (96, 128)), (True, stepped)):
        found, scale = letterbox(plain(*size), 96, 128, least=least)
        assert (scale, found.shape[:2]) == (ratio, shape)
        assert (found[:rows, :columns] == plain(rows, columns)).all()
        assert (found[rows:] == PAD).all()
        assert (found[:, columns:] == PAD).all()


def test_letterboxed_boxes_come_back() -> None:
    """One scale for both sides, and nothing beyond the picture."""
    placed = canvas("letterbox").place(plain(30, 80))
    back = placed.in_picture(np.array([[8, 6, 40, 30], [0, 0, 80, 60]], np.float32), 80, 30)
    assert back.tolist() == [[8, 6, 40, 30], [0, 0, 80, 30]]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"shape": [1, 3, "height", 320]}, "input.shape"),
        ({"shape": [2, 3, 320, 320]}, "input.shape"),
        ({"shape": [1, 1, 320, 320]}, "input.shape"),
        ({"shape": [1, 3, 300, 300], "layout": "NHWC"}, "input.shape"),
        ({"dtype": "uint8", "range": [0, 1]}, "a uint8 input"),
        ({"dtype": "uint8", "mean": [1, 1, 1]}, "a uint8 input"),
        ({"fit": "crop"}, "preprocessing.fit is crop"),
    ],
)
def test_a_card_that_asks_for_what_detectors_are_not_given_is_refused(changed: dict[str, Any], says: str) -> None:
    """The sentence names the model and the field."""
    with pytest.raises(ModelError, match=f"ssd-mobilenet-v1@.*{says}"):
        canvas(**changed)


def test_an_adapter_that_is_not_there_is_refused() -> None:
    """The sentence names those that are, and the page that shows how to add one."""
    chosen = model("yolox-nano", yolox_network({}), adapter="yolov9")
    with pytest.raises(
        ModelError, match=r"'yolov9'; there are yolox, ssd, torchvision-ssd: see docs/adding-a-model.md"
    ):
        load_objects(chosen, Settings())


def test_a_model_for_something_else_is_refused() -> None:
    """DETECT_MODEL names a detector."""
    with pytest.raises(ModelError, match="is for classification, and object-detection is asked for"):
        load_objects(model("yolox-nano", yolox_network({}), task="classification"), Settings())


def test_a_network_of_a_fixed_size_is_given_its_whole_canvas() -> None:
    """YOLOX as its authors export it takes squares only: a wide picture is filled up, and its boxes are right."""
    number = 20 * 52 + 10  # of the grid with cells of 8 pixels: row 20, column 10
    detector = load_objects(model("yolox-nano", yolox_network({number: [0, 0, 0, 0, 1.0, SCORES[0]]})), Settings())
    (found,) = detector.detect(plain(416, 832), 0.5)
    assert found.label == "person"
    assert found.box == (2 * (80 - 4), 2 * (160 - 4), 2 * (80 + 4), 2 * (160 + 4))


def free_yolox(height: int | str, width: int | str) -> bytes:
    """A graph with YOLOX's cells for whatever size it is given, and the same score everywhere."""
    graph = Graph("images", TensorProto.FLOAT, [1, 3, height, width])
    grids = []
    for stride in (8, 16, 32):
        cells = graph.node("AveragePool", graph.pixels, kernel_shape=[stride] * 2, strides=[stride] * 2)
        grids.append(graph.node("Reshape", cells, graph.int64([1, 3, -1])))
    rows = graph.node("Transpose", graph.node("Concat", *grids, axis=2), perm=[0, 2, 1])
    nothing = graph.node("MatMul", rows, graph.floats(np.zeros((3, 85))))
    found = graph.node("Add", nothing, graph.floats([0, 0, 0, 0, 1, SCORES[0], *[0] * 79]))
    return graph.model([("output", found, [1, "cells", 85], TensorProto.FLOAT)])


@pytest.mark.parametrize(
    ("height", "width", "least"),
    [("height", "width", True), ("height", 416, False), (416, "width", False), (416, 416, False)],
)
def test_a_canvas_is_cut_only_where_both_sides_are_free(height: int | str, width: int | str, *, least: bool) -> None:
    """One free side does not do: wide pictures and portraits are found in, with whatever canvas the network takes."""
    detector = load_objects(model("yolox-nano", free_yolox(height, width)), Settings())
    assert detector._canvas.least == least
    for size in ((100, 400), (400, 100), (200, 200)):
        found = detector.detect(plain(*size), 0.5)
        assert {each.label for each in found} == {"person"}


def test_findings_are_bounded() -> None:
    """At most 300, the best first."""
    cells = {number: [0, 0, -3, -3, 1.0, 0.5 + number / 10_000] for number in range(1000)}
    detector = load_objects(model("yolox-nano", yolox_network(cells)), Settings())
    found = detector.detect(plain(416, 416), 0.3)
    assert len(found) == MAX_OBJECTS
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(0.5999)


def test_what_is_not_a_number_is_left_out() -> None:
    """Infinities and NaN, as half precision may give them, are no findings."""
    nan = float("nan")
    cells = {0: [nan, 0, 0, 0, 1, 0.9], 1: [0, 0, nan, 0, 1, 0.9], 2: [0, 0, 0, 0, nan, 0.9], 3: [0, 0, 0, 0, 1, nan]}
    cells[4] = [0, float("-inf"), 0, 0, 1, 0.9]
    detector = load_objects(model("yolox-nano", yolox_network({**cells, 60: [0, 0, 0, 0, 1, 0.9]})), Settings())
    (found,) = detector.detect(plain(416, 416), 0.3)
    assert (found.label, found.box) == ("person", (60, 4, 68, 12))

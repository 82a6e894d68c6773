"""Categories as people see them: on the tagged picture, and in the command line's words."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stageline.cli.common import found_in
from tag_service import labels as labelling
from tag_service.draw import draw_findings
from tag_service.labels import DARK, Rect

Pixels = NDArray[np.uint8]
HUGE, NAN = 1e300, float("nan")
BOX = [100.0, 100.0, 300.0, 300.0]


def grey(height: int = 480, width: int = 640) -> Pixels:
    """A picture, uint8 [height, width, 3], in which whatever is drawn can be seen."""
    return np.full((height, width, 3), 128, dtype=np.uint8)


def found(box: list[float], label: str = "dog", score: float = 0.91) -> dict[str, Any]:
    """A detection as it is on the wire."""
    return {"label": label, "score": score, "box": box}


def category(name: str, box: list[float] | None = None, confidence: float = 0.88) -> dict[str, Any]:
    """A category as it is on the wire."""
    return {"category": name, "confidence": confidence, "box": box}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Rect, Any]]:
    """The text, the rectangle and the colour of each label that is drawn during a test."""
    seen: list[tuple[str, Rect, Any]] = []
    draw_text = labelling._draw_text

    def watched(canvas: Pixels, text: str, at: Rect, colour: Any, text_size: int, pad: int) -> None:
        seen.append((text, at, colour))
        draw_text(canvas, text, at, colour, text_size, pad)

    monkeypatch.setattr(labelling, "_draw_text", watched)
    return seen


@pytest.mark.parametrize(
    ("label", "name", "text"),
    [
        ("dog", "cat", "dog 91% · cat 88%"), ("dog", "dog", "dog 91%"), ("airplane", "ship", "airplane 91% · ship 88%"),
        ("dog", "a\nb\x1b", "dog 91% · a b 88%"),
    ],
)  # fmt: skip
def test_a_label_gains_a_category_that_says_something_else(label: str, name: str, text: str, drawn: list[Any]) -> None:
    """A category is added to the label of the very box it was found in, unless it is the same thing."""
    draw_findings(grey(), [found(BOX, label)], [], [category(name, BOX), category("frog", [1.0, 2.0, 3.0, 4.0])])
    assert [label_text for label_text, *_ in drawn] == [text]


def test_a_label_gains_the_surest_category_of_its_object(drawn: list[Any]) -> None:
    """Of several of one object, or of the picture, it is the surest."""
    mine = [category("frog", BOX, 0.6), category("cat", BOX, 0.9), category("horse", BOX, 0.7)]
    whole = [category("ship", None, 0.95), category("truck", None, 0.9)]
    draw_findings(grey(), [found(BOX)], [], [*mine, *whole])
    assert [text for text, *_ in drawn] == ["dog 91% · cat 90%", "picture: ship 95%"]


def test_the_detectors_label_in_the_classifiers_word_is_not_repeated(drawn: list[Any]) -> None:
    """A category with what was detected means the same: an automobile is a car."""
    automobile = {**category("automobile", BOX, 0.97), "detected": "car"}
    draw_findings(grey(), [found(BOX, "car")], [], [automobile])
    assert [text for text, *_ in drawn] == ["car 91%"]


def test_a_face_gains_no_category(drawn: list[Any]) -> None:
    """Where a face and an object have one box, the category is the object's."""
    draw_findings(grey(), [found(BOX)], [{"score": 1.0, "box": BOX}], [category("cat", BOX)])
    assert sorted(text for text, *_ in drawn) == ["dog 91% · cat 88%", "face 100%"]


def test_the_pictures_category_is_a_caption_in_a_corner(drawn: list[Any]) -> None:
    """It is drawn in a colour of its own, whole, within a corner; also where nothing else was found."""
    for findings in ([], [found(BOX)]):
        drawn.clear()
        canvas = draw_findings(grey(), findings, [], [category("airplane")])
        text, (x1, _, x2, y2), colour = drawn[-1]
        assert (text, colour) == ("picture: airplane 88%", DARK)
        assert (x1 == 0 or x2 == 640) is True
        assert y2 == 480
        assert tuple(canvas[y2 - 1, x1]) == DARK


@pytest.mark.parametrize("taken", range(4))
def test_the_caption_hides_no_label_and_little_of_the_findings(taken: int, drawn: list[Any]) -> None:
    """It takes the free one of four corners, and where labels are in all of them, none."""
    corners = [
        [0.0, 0.0, 200.0, 60.0],
        [440.0, 0.0, 640.0, 60.0],
        [0.0, 420.0, 200.0, 480.0],
        [440.0, 420.0, 640.0, 480.0],
    ]
    draw_findings(grey(), [found(box) for box in corners[:taken] + corners[taken + 1 :]], [], [category("cat")])
    x, y = corners[taken][:2]
    *_, (text, at, _) = drawn
    assert text == "picture: cat 88%"
    assert x <= at[0] < at[2] <= x + 200
    assert y <= at[1] < at[3] <= y + 60
    drawn.clear()
    draw_findings(
        grey(40, 640), [found([0.0, 0.0, 639.0, 39.0], "x" * 40, i / 9) for i in range(9)], [], [category("cat")]
    )
    assert len(drawn) == 4  # a label in each corner


def test_a_category_yields_where_there_is_no_room(drawn: list[Any]) -> None:
    """In a narrow picture the label keeps its name and score, and leaves the category out."""
    draw_findings(
        grey(480, 110), [found([0.0, 0.0, 100.0, 400.0])], [], [category("automobile", [0.0, 0.0, 100.0, 400.0])]
    )
    assert [text for text, *_ in drawn] == ["dog 91%"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (1000, 1), (64, 6000), (480, 640)])
def test_hostile_categories_do_not_raise(shape: tuple[int, int]) -> None:
    """Names, confidences and boxes that no classifier gives are survived in a picture of any shape."""
    boxes: list[Any] = [None, [-HUGE, 0.0, HUGE, 9.0], [3.0, 3.0, 3.0, 3.0], []]
    odd = [category(name, box, much) for box in boxes for name in ("", "ж猫" * 900, "\n") for much in (-9e8, NAN, 9e8)]
    canvas = draw_findings(grey(*shape), [found(box) for box in boxes[1:3]], [], odd)
    assert (canvas.shape[0] % shape[0], canvas.shape[1] % shape[1]) == (0, 0)


def test_only_the_caption_is_drawn_of_a_picture_without_findings() -> None:
    """Every pixel outside the caption is the picture's own."""
    picture = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (480, 640, 3), dtype=np.uint8), (9, 9), 3)
    canvas = draw_findings(np.array(picture), [], [], [category("ship")])
    changed = (canvas != picture).any(axis=2)
    assert 500 < changed.sum() < 8000
    assert not changed[:440].any()


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ({}, "nothing"), ({"detections": [], "faces": None, "categories": None}, "nothing"),
        ({"detections": [found(BOX), found(BOX), found(BOX, "person")], "faces": [{}]}, "2 dog, 1 person, 1 face"),
        ({"detections": [found(BOX)], "categories": [category("dog"), category("cat", BOX)]}, "1 dog; category dog"),
        ({"detections": [found(BOX, "car")],
          "categories": [{**category("automobile", BOX), "detected": "car"}]}, "1 car"),
        ({"detections": [found(BOX)], "candidates": [{**category("cat", BOX), "detected": "dog"}]}, "1 dog"),
        ({"categories": [category("dog")]}, "category dog"), ({"categories": [category("cat", BOX)]}, "nothing"),
    ],
)  # fmt: skip
def test_the_command_line_says_what_was_found(results: dict[str, Any], said: str) -> None:
    """Objects and faces are counted, and the picture's category follows."""
    assert found_in(results) == said

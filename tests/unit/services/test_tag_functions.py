"""tag_service's pure functions: what is drawn on a picture, and what is hidden in it."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tag_service import draw
from tag_service import labels as labelling
from tag_service.blur import blur_regions, regions_to_hide
from tag_service.draw import draw_findings

Pixels = NDArray[np.uint8]

FEW = 6  # tones over the longer side, at most: what may be left of a region
HUGE, INF, NAN = 1e300, float("inf"), float("nan")
# fmt: off
HOSTILE_BOXES: list[list[float]] = [
    [-HUGE, -HUGE, HUGE, HUGE], [HUGE, HUGE, HUGE, HUGE], [-9e9, 5, 9e9, 6], [-INF, 0, INF, 9], [NAN, 0, 9, 9],
    [-50, -50, -10, -10], [9e3, 9e3, 1e4, 1e4], [3, 3, 3, 3], [0, 0, 0, 0], [20, 20, 5, 5], [0.2, 0.2, 0.4, 0.4],
]
# fmt: on


def noise(height: int, width: int, seed: int = 7) -> Pixels:
    """A picture, uint8 [height, width, 3], whose every pixel differs from its neighbours."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grey(height: int, width: int) -> Pixels:
    """A picture, uint8 [height, width, 3], in which whatever is drawn can be seen."""
    return np.full((height, width, 3), 128, dtype=np.uint8)


def found(box: list[float], label: str = "car", score: float = 0.91) -> dict[str, Any]:
    """A detection as it is on the wire."""
    return {"label": label, "score": score, "box": box}


def face(box: list[float], landmarks: Sequence[Sequence[float]] = ()) -> dict[str, Any]:
    """A face as it is on the wire."""
    return {"score": 0.99, "box": box, "landmarks": landmarks}


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[tuple[draw.Pair, labelling.Rect | None]]:
    """The canvas size and the rectangle (None: left out) of each label that is placed during a test."""
    seen: list[tuple[draw.Pair, labelling.Rect | None]] = []
    place = labelling._place

    def watched(box: Any, size: draw.Pair, canvas: draw.Pair, boxes: Any, placed: Any) -> draw.Pair | None:
        at = place(box, size, canvas, boxes, placed)
        seen.append((canvas, None if at is None else (*at, at[0] + size[0], at[1] + size[1])))
        return at

    monkeypatch.setattr(labelling, "_place", watched)
    return seen


@pytest.mark.parametrize("long_side", [64, 96, 200, 479, 480, 640, 1920, 6000])
@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.8, 0.0), (0.0, 0.8), (0.8, 0.8), (0.4, 0.4)])
def test_labels_are_inside(long_side: int, corner: tuple[float, float], labels: list[Any]) -> None:
    """At any size and wherever the box is, the label is whole, inside the picture, and of readable height."""
    height, width = round(long_side * 0.75), long_side
    x, y = corner[0] * width, corner[1] * height
    drawn = draw_findings(grey(height, width), [found([x, y, x + 0.2 * width, y + 0.2 * height])], [])
    ((canvas, label),) = labels
    assert canvas == (drawn.shape[1], drawn.shape[0])
    assert label is not None
    assert 0 <= label[0] < label[2] <= canvas[0]
    assert 0 <= label[1] < label[3] <= canvas[1]
    assert label[3] - label[1] >= 0.02 * max(canvas)
    assert tuple(drawn[label[1], label[0]]) == tuple(drawn[label[3] - 1, label[2] - 1]) == draw._class_colour("car")


@pytest.mark.parametrize("step", [0, 1, 30])
def test_labels_do_not_cover_each_other(step: int, labels: list[Any]) -> None:
    """Twelve findings, of one place even, keep twelve labels, and no two of these share a pixel."""
    boxes: list[list[float]] = [[100 + i * step, 50 + i * step, 200 + i * step, 150 + i * step] for i in range(12)]
    draw_findings(grey(480, 640), [found(box, f"thing {i}") for i, box in enumerate(boxes)], [])
    assert len([label for _, label in labels if label is not None]) == 12
    for (_, a), (_, b) in combinations(labels, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_a_label_can_be_read() -> None:
    """A label is its class's colour with text of a WCAG contrast of at least 3 to 1 on it, for every colour."""

    def luminance(colour: draw.Colour) -> float:
        linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return float(np.dot(linear, (0.0722, 0.7152, 0.2126)))

    for colour in (*draw.PALETTE, draw.FACE_COLOUR):
        low, high = sorted((luminance(colour), luminance(labelling._ink(colour))))
        assert (high + 0.05) / (low + 0.05) >= 3.0, colour


def test_a_box_lies_at_its_coordinates() -> None:
    """A box's line ends at the pixels of its coordinates; its inside, and what is further out, is as before."""
    drawn = draw_findings(grey(480, 640), [found([100, 200, 301, 402])], [])
    colour = draw._class_colour("car")
    for row, column in ((300, 100), (300, 300), (200, 250), (401, 200)):
        assert tuple(drawn[row, column]) == colour
    for row, column in ((300, 98), (300, 302), (404, 200), (300, 200), (460, 600)):
        assert tuple(drawn[row, column]) == (128, 128, 128)


@pytest.mark.parametrize(("long_side", "factor"), [(30, 16), (96, 5), (240, 2), (479, 2), (480, 1), (640, 1)])
def test_a_small_picture_is_enlarged_to_be_read(long_side: int, factor: int) -> None:
    """A picture with a long side under 480 is drawn at a whole multiple of its size, its boxes with it."""
    drawn = draw_findings(grey(long_side // 2, long_side), [found([0.5 * long_side, 2, long_side, long_side // 2])], [])
    assert drawn.shape == (long_side // 2 * factor, long_side * factor, 3)
    middle = drawn.shape[0] // 2
    assert tuple(drawn[middle, round(0.5 * long_side * factor)]) == draw._class_colour("car")


def test_nothing_to_draw_leaves_the_picture() -> None:
    """With no findings, or none inside, the very array comes back, at its size, untouched."""
    picture = noise(40, 60)
    before = picture.copy()
    assert draw_findings(picture, [], []) is picture
    assert draw_findings(picture, [found([100, 100, 120, 120])], [face([-9, -9, -2, -2])]) is picture
    assert np.array_equal(picture, before)


def test_drawing_is_in_place_where_it_can_be() -> None:
    """An array that can be written to is drawn on; a read-only or a turned one is copied and left alone."""
    picture = noise(480, 640)
    assert draw_findings(picture, [found([9, 9, 99, 99])], []) is picture
    picture.flags.writeable = False
    for view in (picture, picture[:, ::-1], picture.transpose(1, 0, 2)):
        before = view.copy()
        drawn = draw_findings(view, [found([9, 9, 99, 99])], [])
        assert drawn.shape == view.shape
        assert np.array_equal(view, before)
        assert not np.array_equal(drawn, before)


def test_landmarks_are_dots_at_their_places() -> None:
    """Each of a face's landmarks has the face's colour at its place, and one that is outside is left out."""
    points: list[list[float]] = [[240.5, 250.5], [300.5, 250.5], [270.5, 290.5], [250.5, 330.5], [290.5, 330.5]]
    drawn = draw_findings(grey(480, 640), [], [face([200, 200, 340, 380], [*points, [HUGE, 1], [-5, NAN]])])
    for x, y in points:
        assert tuple(drawn[int(y), int(x)]) == draw.FACE_COLOUR


def test_a_class_keeps_its_colour() -> None:
    """A label's colour depends on the label alone, in any process, and those most often seen together differ."""
    assert draw._class_colour("person") == draw.PALETTE[10]
    everyday = ["person", "car", "dog", "chair", "cup", "bottle"]
    assert len({draw._class_colour(label) for label in everyday} | {draw.FACE_COLOUR}) == len(everyday) + 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 1000), (1000, 1), (2, 3), (64, 6000), (6000, 64), (480, 640)])
def test_hostile_boxes_do_not_raise(shape: tuple[int, int]) -> None:
    """Boxes outside, inverted, empty, endless or no numbers, in a picture of any shape, are survived by all."""
    detections = [found(box, label) for box in HOSTILE_BOXES for label in ("car", "", "\n" * 9, "ж猫" * 900)]
    faces = [face(box, [[HUGE, -HUGE], [0, 0], [1, 1], [INF, 2], [3, 3]]) for box in HOSTILE_BOXES]
    drawn = draw_findings(noise(*shape), [*detections, found([0, 0, 9, 9], score=NAN)], faces)
    assert (drawn.shape[0] % shape[0], drawn.shape[1] % shape[1], drawn.itemsize) == (0, 0, 1)
    hidden = regions_to_hide(detections, faces, {"car", "face"})
    assert len(hidden) == 2 * len(HOSTILE_BOXES)
    blur_regions(noise(*shape), hidden)


def test_hundreds_of_boxes() -> None:
    """Five hundred findings are drawn, the surest one's label among what is seen."""
    rng = np.random.default_rng(1)
    corners = rng.uniform((-50, -50), (640, 480), (500, 2))
    boxes = np.hstack([corners, corners + rng.uniform(0, 300, (500, 2))]).tolist()
    drawn = draw_findings(grey(480, 640), [found(box, f"c{i}", i / 500) for i, box in enumerate(boxes)], [])
    assert drawn.shape == (480, 640, 3)
    assert (drawn == draw._class_colour("c499")).all(axis=2).sum() > 100


@pytest.mark.parametrize(
    "box", [[100, 80, 300, 200], [-50, -50, 60, 60], [10.6, 10.2, 12.1, 400], [600, 440, 9e9, 9e9]]
)
def test_only_the_region_is_touched(box: list[float]) -> None:
    """Every pixel outside a blurred region is as it was, and the region is as smooth as its outline allows."""
    picture = noise(480, 640)
    before = picture.copy()
    assert blur_regions(picture, [box]) is picture
    x1, y1 = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
    x2, y2 = min(640, int(np.ceil(box[2]))), min(480, int(np.ceil(box[3])))
    outside = np.ones((480, 640), dtype=bool)
    outside[y1:y2, x1:x2] = False
    assert np.array_equal(picture[outside], before[outside])
    assert cv2.Laplacian(picture[y1:y2, x1:x2], cv2.CV_64F).var() < 60.0  # of the noise: some 110 000


@pytest.mark.parametrize("side", [2, 3, 5, 8, 16, 33, 64, 500, 2000])
def test_nothing_of_a_region_can_be_recognised(side: int) -> None:
    """Two patterns whose averages agree come out alike, at any size: what is left of a region is its few averages."""
    tile = max(1, side // (4 * FEW))
    rows, columns = np.indices((side, side)) // tile
    chequered = np.repeat((((rows + columns) % 2) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    inverse = blur_regions(np.asarray(255 - chequered, dtype=np.uint8), [[0, 0, side, side]]).astype(int)
    blur_regions(chequered, [[0, 0, side, side]])
    assert np.abs(chequered - inverse).max() < 0.25 * 255


@pytest.mark.parametrize("side", [40, 63, 200, 1500])
def test_no_detail_is_left(side: int) -> None:
    """A blurred region holds no more than a thumbnail of three pixels per cell does: reduced to it, nothing is lost."""
    tones = noise(FEW, FEW)  # the strongest contrasts that could survive
    picture = cv2.resize(tones, (side, side), interpolation=cv2.INTER_NEAREST) // 2 + noise(side, side) // 2
    blurred = blur_regions(np.asarray(picture, dtype=np.uint8), [[0, 0, side, side]])
    thumbnail = cv2.resize(blurred, (3 * FEW, 3 * FEW), interpolation=cv2.INTER_AREA)
    again = cv2.resize(thumbnail, (side, side), interpolation=cv2.INTER_CUBIC)
    assert np.ptp(blurred) > 50
    assert np.abs(again.astype(int) - blurred.astype(int)).max() < 12  # unblurred: 100 and more


def test_blur_reaches_any_memory_layout() -> None:
    """Flipped and turned views and grey pictures are blurred in place too; a read-only array is refused by name."""
    picture = noise(90, 120)
    for view in (picture[:, ::-1], picture[::-1], picture.transpose(1, 0, 2), noise(90, 120)[:, :, 0]):
        picture[:] = noise(90, 120)
        before = view.copy()
        blur_regions(view, [[10, 10, 70, 70]])
        assert np.abs(view[10:70, 10:70].astype(int) - before[10:70, 10:70]).mean() > 30
        assert np.array_equal(view[70:], before[70:])
    picture.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        blur_regions(picture, [[10, 10, 70, 70]])


def test_what_is_hidden() -> None:
    """Detections are chosen by label, in any case; faces by the word face, grown on every side, most above."""
    detections = [found([1, 2, 3, 4], "Person"), found([5, 6, 7, 8], "car")]
    faces = [face([100, 100, 140, 160])]
    assert regions_to_hide(detections, faces, []) == []
    assert regions_to_hide(detections, faces, {"person"}) == [[1, 2, 3, 4]]
    ((x1, y1, x2, y2),) = regions_to_hide(detections, faces, ["Face"])
    assert (x1 < 92, x2 > 148) == (True, True)
    assert (y1 < 80, y2 > 168) == (True, True)
    assert 100 - y1 > y2 - 160
    assert len(regions_to_hide(detections, faces, {"face", "car", "person"})) == 3


def test_an_unknown_edge_hides_more() -> None:
    """A region to be hidden whose edge is no number is hidden up to the picture's edge, not left to be seen."""
    picture = noise(100, 100)
    blur_regions(picture, [[NAN, 20, 50, 80]])
    assert cv2.Laplacian(picture[20:80, :50], cv2.CV_64F).var() < 60.0

"""The benchmark of heads judges as its tables say, and the option is worth what the documents claim."""

from typing import Any

import numpy as np
import pytest

from benchmarks.heads.judging import found_heads, hidden, judge, mask
from benchmarks.heads.labels import Head, HeadPicture, corners, read
from benchmarks.heads.report import groups, price, visible
from benchmarks.heads.variants import VARIANTS, close_ups, easy_heads, masked, turned
from tests.support.head_cases import picture

HEAD = [40.0, 20.0, 60.0, 50.0]
PERSON = [20.0, 15.0, 80.0, 195.0]


def fields(persons: list[list[float]], faces: list[list[float]]) -> dict[str, Any]:
    """What the detect stage says."""
    detections = [{"label": "person", "score": 0.9, "box": box} for box in persons]
    return {"detections": detections, "faces": [{"score": 0.99, "box": box} for box in faces]}


def test_the_labels_are_sound() -> None:
    """128 pictures; every head lies in its picture, is ten pixels high, and is said in the words that are explained."""
    labelled = read()
    heads = [(p, head) for p in labelled for head in p.heads]
    assert len({p.name for p in labelled}) == 128
    assert len(heads) == 164
    for where, head in heads:
        assert head.corners.min() >= 0, where.name
        assert (head.corners[2] <= (where.width, where.height)).all(), where.name
        assert head.height >= 10, where.name
        assert head.facing in {"front", "profile", "away"}
        assert head.traits <= {"occluded", "rotated", "dark", "blurred"}


def test_the_hidden_share_is_that_of_the_heads_pixels() -> None:
    """Half of a head is half; what lies beyond the picture does not count; a turned head has no corners but its own."""
    hit = mask(picture(), [[0, 0, 50, 200]])
    assert hidden(corners([40, 20, 60, 60]), hit) == 0.5
    assert hidden(corners([-100, 20, 10, 60]), hit) == 1.0
    assert hidden(corners([60, 20, 80, 60]), hit) == 0.0
    diamond = np.array([(50, 80), (70, 100), (50, 120), (30, 100)], float)
    outside = np.ones((200, 100), bool)
    outside[85:115, 35:65] = False
    assert hidden(diamond, outside) < 0.15
    assert hidden(corners([30, 80, 70, 120]), outside) > 0.4


def test_a_face_is_found_in_one_head() -> None:
    """The face's centre must lie in the head; of two heads that hold it, the nearer one is found."""
    behind = [45.0, 10.0, 75.0, 60.0]
    heads = picture(HEAD, behind).heads
    assert found_heads(heads, [[42, 25, 58, 45]]) == {0}
    assert found_heads(heads, [[42, 25, 58, 45], [60, 20, 72, 50]]) == {0, 1}
    assert found_heads(heads, [[0, 0, 30, 30]]) == set()


def test_a_head_in_a_person_is_hidden_by_the_option_alone() -> None:
    """Without a face the head is visible, with BLUR_HEADS it is not, and the copy costs the area of that region."""
    sheet = judge(picture(HEAD), fields([PERSON], []), {"face"})
    (head,) = sheet.heads
    assert (head.found, head.in_person, head.hidden, head.hidden_by_heads) == (False, True, 0.0, 1.0)
    assert (sheet.area, sheet.regions, sheet.empty) == (0.0, 1, 0)
    assert 0.15 < sheet.area_by_heads < 0.3
    assert visible(sheet.heads) == (1, 0)
    missed = judge(picture(HEAD), fields([], []), {"face"})
    assert visible(missed.heads) == (1, 1)
    assert "in no detected person" in groups([missed])
    assert "in no detected person" not in groups([sheet])


def test_a_region_without_a_head_is_empty_unless_it_is_to_be_ignored() -> None:
    """What is blurred for nothing is counted, but not in a crowd that nobody labelled."""
    seen = fields([PERSON], [])
    assert judge(picture(), seen, {"face"}).empty == 1
    assert judge(picture(ignore=([70.0, 40.0, 99.0, 60.0],)), seen, {"face"}).empty == 0
    assert judge(picture([45.0, 150.0, 55.0, 160.0]), seen, {"face"}).empty == 1
    assert "which hold no head: 1 (100 %" in price(
        [judge(picture(HEAD), seen, set()), judge(picture(), seen, set())][1:]
    )


@pytest.mark.parametrize("degrees", [15, 45, 90, 180])
def test_the_labels_turn_with_the_picture(degrees: float) -> None:
    """A head's rectangle holds the same pixels after the turn as before, and all of the picture is still there."""
    bgr = np.zeros((200, 100, 3), np.uint8)
    bgr[20:50, 40:60] = (0, 0, 255)
    ((pixels, labels),) = turned(degrees, bgr, picture(HEAD))
    red = (pixels[:, :, 2] > 128) & (pixels[:, :, 0] < 64)
    assert pixels.shape[:2] == (labels.height, labels.width)
    assert hidden(labels.heads[0].corners, red) > 0.9
    assert abs(int(red.sum()) - 600) < 40
    assert labels.heads[0].height == pytest.approx(30)


def test_the_other_variants_keep_the_head_where_the_labels_say() -> None:
    """A close-up is the head and a tenth around it; a mask covers the head's lower part and nothing else."""
    bgr = np.zeros((200, 100, 3), np.uint8)
    bgr[20:50, 40:60] = (0, 0, 255)
    ((close, labels),) = close_ups(bgr, picture(HEAD))
    assert max(close.shape) == 1000
    assert close.shape[:2] == (labels.height, labels.width)
    assert hidden(labels.heads[0].corners, close[:, :, 2] > 128) > 0.97
    assert labels.heads[0].height > 800
    ((covered, _),) = masked(bgr, picture(HEAD))
    changed = (covered != bgr).any(axis=2)
    assert changed[37:50, 40:60].all()
    assert changed.sum() == changed[36:50, 40:60].sum()


def test_easy_heads_are_large_whole_and_face_the_camera() -> None:
    """What is made harder by code must not be hard already; the others are no longer counted."""
    easy = Head(corners([0, 0, 40, 50]), "front")
    hard = [
        Head(corners([0, 0, 30, 40]), "front"),
        Head(corners([0, 0, 40, 50]), "profile"),
        Head(corners([0, 0, 40, 50]), "front", frozenset({"dark"})),
    ]
    left = easy_heads(HeadPicture("a", 100, 200, [easy, *hard], []))
    assert list(left.heads) == [easy]
    assert len(left.ignore) == 3
    assert len(VARIANTS) == 12


def test_shares_are_printed_with_their_intervals() -> None:
    """Wilson's, at 95 %: one of one is 21 to 100 %, none of one 0 to 79 %; of none, anything may be."""
    (plain,) = [line for line in groups([judge(picture(HEAD), fields([PERSON], []), {"face"})]).splitlines()
                if line.startswith("all heads")]  # fmt: skip
    assert "0 (0 %, 0–79)" in plain
    assert "1 (100 %, 21–100)" in plain
    assert "hold no head: 0 (0 %, 0–100)" in price([judge(picture(HEAD), fields([], []), {"face"})])

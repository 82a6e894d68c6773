"""Estimates the heads of persons of whom only the box of the whole body is known."""

from collections.abc import Sequence
from typing import NamedTuple

Box = list[float]

PERSON = "person"
MIN_FACE = 0.2  # of a head region's height: a lower face belongs to a person further away


class Reach(NamedTuple):
    """The extent of a head region: the full width of the person's box, and a part of its height from the top."""

    by_height: float
    """Shares of the box's height, downwards."""
    by_width: float
    """Shares of the box's width, downwards: a wide box is a person who sits, lies, or is seen down to the chest."""
    above: float
    """Shares of the box's height, upwards: hair and hats reach beyond the detector's box."""


# Fitted on half of 128 labelled pictures: docs/decisions/0020-heads-and-the-privacy-copy.md has the search.
REACH = Reach(by_height=0.25, by_width=0.30, above=0.06)


def head_regions(persons: Sequence[Box], faces: Sequence[Box], reach: Reach = REACH) -> list[Box]:
    """Estimate the heads of the persons whose face was not found.

    Since arms reach out, a head may be anywhere between the left and right edge: a region is as wide as the box.

    Args:
        persons: boxes [x1, y1, x2, y2] in pixels, x1 ≤ x2 and y1 ≤ y2.
        faces: boxes too. Each belongs to at most one person: that of the smallest region around its centre.
        reach: the extent of a region.

    Returns:
        Boxes [x1, y1, x2, y2] in pixels, not clipped, of the persons without a face, in their order.
    """
    regions = [_top_of(person, reach) for person in persons]
    left = set(range(len(regions)))
    for face in faces:
        around = [i for i in left if _holds(regions[i], face)]
        if around:
            left.remove(min(around, key=lambda i: _area(regions[i])))
    return [regions[i] for i in sorted(left)]


def _top_of(person: Box, reach: Reach) -> Box:
    """Return the part of a person's box with the head; the wider the box, the higher the part."""
    x1, y1, x2, y2 = person
    width, height = x2 - x1, y2 - y1
    down = min(height, reach.by_height * height + reach.by_width * width)
    return [x1, y1 - reach.above * height, x2, y1 + down]


def _holds(region: Box, face: Box) -> bool:
    """Return whether a face's centre lies in a region, and the face is large enough for this person."""
    x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
    inside = region[0] <= x <= region[2] and region[1] <= y <= region[3]
    return inside and face[3] - face[1] >= MIN_FACE * (region[3] - region[1])


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])

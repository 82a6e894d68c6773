"""The parts of a picture for the networks, and the picture, decoded no larger than they need."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stageline.imaging import codec
from stageline.imaging.codec import Pixels

MAX_CROPS = 300  # of the objects, and of the faces, of one picture: the surest; a detector returns no more
CONTEXT = 1.2  # an object's crop is a square whose side is this many times the longer side of its box
Span = tuple[int, int, int, int]  # x1, y1, x2, y2 in whole pixels


def parts(findings: Sequence[Mapping[str, Any]], width: int, height: int) -> list[tuple[int, Span]]:
    """Return the places and boxes of the `MAX_CROPS` surest findings that have an area in a picture of that size.

    Edges are cut to whole pixels toward zero, as in facenet-pytorch, and to the picture; swapped corners of a box are
    put in order.
    """
    found = []
    for index, finding in enumerate(findings):
        x1, y1, x2, y2 = finding["box"]
        (left, right), (top, bottom) = _span(x1, x2, width), _span(y1, y2, height)
        if left < right and top < bottom:
            found.append((index, (left, top, right, bottom)))
    found.sort(key=lambda part: -findings[part[0]]["score"])
    return sorted(found[:MAX_CROPS])


def squared(box: Span, width: int, height: int) -> Span:
    """Return the square about a box that is `CONTEXT` times as long as its longer side, moved and cut to the picture.

    Classifiers learnt from undistorted pictures with some context around the object: such crops are classified
    correctly half again as often as tight, stretched ones (docs/decisions/0006-categories-and-their-confidence.md).
    """
    side = round(CONTEXT * max(box[2] - box[0], box[3] - box[1]))
    spans = []
    for low, high, most in ((box[0], box[2], width), (box[1], box[3], height)):
        first = max(0, min((low + high - side) // 2, most - side))
        spans.append((first, min(most, first + side)))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


class Original:
    """The original, upright, decoded at the smallest size that is large enough for its parts."""

    def __init__(self, data: bytes, info: codec.ImageInfo, scales: Iterable[float], max_pixels: int) -> None:
        """Decode it once.

        Args:
            data: the file.
            info: its header.
            scales: the scale to which each part may be shrunk: the decoded picture is no smaller than the largest.
            max_pixels: the most pixels that it may have.

        Raises:
            BadImage: the file cannot be decoded.
        """
        longest = max(info.width, info.height)
        least = math.ceil(longest * min(1.0, max(scales, default=0.0)))
        self.pixels, _ = codec.decode(data, max_pixels, at_least=max(1, least))
        self.scale = (self.pixels.shape[1] / info.width, self.pixels.shape[0] / info.height)
        """Pixels of `pixels` per pixel of the original, across and down; 1 where the decoder did not shrink it."""

    def placed(self, box: Span) -> Span:
        """Return where a box of the original lies in `pixels`, in whole pixels, at least one."""
        spans = []
        for axis, scale in enumerate(self.scale):
            first = min(round(box[axis] * scale), self.pixels.shape[1 - axis] - 1)
            spans.append((first, max(first + 1, round(box[axis + 2] * scale))))
        return spans[0][0], spans[1][0], spans[0][1], spans[1][1]

    def crop(self, box: Span) -> Pixels:
        """Return a view of a box of the original, uint8 [h, w, 3]."""
        left, top, right, bottom = self.placed(box)
        return self.pixels[top:bottom, left:right]

    def points(self, points: Sequence[Sequence[float]] | None) -> list[list[float]]:
        """Return where points [x, y] of the original lie in `pixels`."""
        return [[x * self.scale[0], y * self.scale[1]] for x, y in points or ()]


def _span(low: float, high: float, most: int) -> tuple[int, int]:
    low, high = min(low, high), max(low, high)
    return int(max(low, 0)), int(min(high, most))

"""Hides regions of a picture beyond recognition: each becomes a few smoothly blended colours."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tag_service.heads import PERSON, Box, head_regions

Pixels = NDArray[np.uint8]

FACE = "face"
CELLS = 5  # colours over a region's longer side: too few for a face, and for a program that matches mosaics
MIN_CELL = 4  # pixels: a small region keeps fewer cells, else a cell would be one of its pixels
SAMPLES = 320  # pixels over the longer side for the averages, so that 50 megapixels cost no more
# A face detector's box ends at the brow and the ears; these shares of its size cover hair, ears and chin too.
MARGIN_SIDE, MARGIN_TOP, MARGIN_BOTTOM = 0.30, 0.50, 0.25


def regions_to_hide(
    detections: Sequence[Mapping[str, Any]],
    faces: Sequence[Mapping[str, Any]],
    classes: Collection[str],
    *,
    heads: bool = False,
) -> list[Box]:
    """Return the regions to hide.

    Args:
        detections: findings with a ``label`` and a ``box``, [x1, y1, x2, y2] in pixels.
        faces: findings with a ``box``; chosen where ``classes`` names "face", grown so that the head is covered.
        classes: labels to hide, in any case.
        heads: hide every face, whatever ``classes`` holds, and the estimated head of each person without a face.

    Returns:
        Boxes [x1, y1, x2, y2] in pixels, not clipped: ``blur_regions`` knows the picture's size and clips.
    """
    wanted = {name.strip().casefold() for name in classes}
    hidden = [_sorted(item["box"]) for item in detections if str(item["label"]).strip().casefold() in wanted]
    found = [_sorted(face["box"]) for face in faces]
    if heads or FACE in wanted:
        hidden += [_grown(face) for face in found]
    if heads:
        persons = [_sorted(item["box"]) for item in detections if str(item["label"]).strip().casefold() == PERSON]
        hidden += head_regions(persons, found)
    return hidden


def blur_regions(bgr: Pixels, boxes: Sequence[Sequence[float]]) -> Pixels:
    """Blur regions in place: every pixel that a box touches, and no other.

    Args:
        bgr: uint8 [h, w, 3] (or [h, w]), writeable.
        boxes: [x1, y1, x2, y2] in pixels, anywhere. An edge that is NaN counts as the picture's edge, so that
            too much is hidden rather than too little.

    Returns:
        The same array.
    """
    height, width = bgr.shape[:2]
    for box in boxes:
        region = bgr[touched(box, width, height)]
        if region.size:
            _blur(region, direct=bgr.flags.c_contiguous and bgr.flags.writeable)
    return bgr


def touched(box: Sequence[float], width: int, height: int) -> tuple[slice, slice]:
    """Return the rows and columns that ``blur_regions`` replaces for a box, in a picture of that size in pixels."""
    left, right = _span(box[0], box[2], width)
    top, bottom = _span(box[1], box[3], height)
    return slice(top, bottom), slice(left, right)


def _blur(region: Pixels, *, direct: bool) -> None:
    """Replace a region, uint8 [h, w, ...] with h, w ≥ 1, by at most CELLS averages over its longer side.

    With ``direct`` OpenCV writes to it, without a second array of its size.
    """
    height, width = region.shape[:2]
    longest = max(height, width)
    step = max(1, longest // SAMPLES)
    sampled = np.ascontiguousarray(region[::step, ::step])  # pixels between the samples would be lost anyway
    cells = max(1, min(CELLS, longest // MIN_CELL))
    size = (max(1, round(cells * width / longest)), max(1, round(cells * height / longest)))
    averages = cv2.resize(sampled, size, interpolation=cv2.INTER_AREA)
    if direct:
        cv2.resize(averages, (width, height), dst=region, interpolation=cv2.INTER_CUBIC)
    else:  # a flipped or turned view; numpy raises for a read-only one
        np.copyto(region, cv2.resize(averages, (width, height), interpolation=cv2.INTER_CUBIC))


def _sorted(box: Sequence[float]) -> Box:
    """Return the box with its corners in order, top left first; a NaN stays where it is."""
    x1, y1, x2, y2 = (float(edge) for edge in box)
    if x1 > x2:
        x1, x2 = x2, x1
    if y1 > y2:
        y1, y2 = y2, y1
    return [x1, y1, x2, y2]


def _grown(box: Box) -> Box:
    """Return a face's box with the margins of a head."""
    x1, y1, x2, y2 = box
    width, height = x2 - x1, y2 - y1
    side = MARGIN_SIDE * width
    return [x1 - side, y1 - MARGIN_TOP * height, x2 + side, y2 + MARGIN_BOTTOM * height]


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the whole pixels [first, last) of 0..size that the span touches; first = last where it touches none."""
    low, high = (0.0 if math.isnan(low) else low), (float(size) if math.isnan(high) else high)
    low, high = min(low, high), max(low, high)
    return math.floor(min(max(low, 0.0), size)), math.ceil(min(max(high, 0.0), size))

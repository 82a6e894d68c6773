"""Draws findings onto a picture: labelled boxes, faces and landmarks, readable at any size of picture."""

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from tag_service.labels import DARK, MAX_LABEL, Colour, Mark, Pair, Pixels, draw_labels

SMALL = 480  # pixels: a picture whose long side is shorter is drawn on an enlarged copy
MAX_ENLARGEMENT = 16
CROWD = 12  # findings: with more, labels get smaller
MIN_TEXT = 8  # pixels: smaller text cannot be read, so none is drawn
FACE_COLOUR: Colour = (60, 214, 255)  # amber, which no class has
# RGB: different enough to be distinguished, and bright enough for most pictures.
_RGB = bytes.fromhex(
    "e6394c 2f80ed 27ae60 f2711c 9b51e0 00b5ad e84393 7cb518 4c5fd7 c0562b 0fa3d8 b5179e"
    "1e8f4e ff6f61 6a4fe3 3fc380 d81e5b 0077b6 a3b100 8e44ad ff8a3d 16a2a2 c2185b 5b8c2a"
)
PALETTE: tuple[Colour, ...] = tuple((_RGB[i + 2], _RGB[i + 1], _RGB[i]) for i in range(0, len(_RGB), 3))
SALT = 32494  # chosen so that things often seen together (person, car, dog, chair, cup, …) differ in colour
# 24 corners, [24, 2], on the unit circle: cv2.circle draws small circles with four.
_CIRCLE = np.exp(2j * np.pi * np.arange(24) / 24).view(np.float64).reshape(-1, 2)


def draw_findings(
    bgr: Pixels,
    detections: Sequence[Mapping[str, Any]],
    faces: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]] = (),
) -> Pixels:
    """Draw labelled boxes, faces with landmarks, and the category of the whole picture in a corner.

    Args:
        bgr: uint8 [h, w, 3]. It may be drawn on in place: pass an array that is no longer needed.
        detections: ``{"label", "score", "box": [x1, y1, x2, y2]}``, in pixels of ``bgr``, scores 0..1.
        faces: ``{"score", "box", "landmarks": [[x, y], …]}``, in pixels of ``bgr``; landmarks may be absent.
        categories: ``{"category", "confidence", "box"}``: added to the label of the detection with the
            same box, or, without a box, of the whole picture. Of several for one box the surest counts. One with
            ``detected`` equals the detector's label, and is not drawn.

    Returns:
        uint8 [h · n, w · n, 3]. n is 1 (the same array, where it can be written to) unless the long side is under
        SMALL and there is something to draw: then n is the whole number that brings it there, so that labels can
        be read. Boxes outside the picture are left out, and so are labels without a free place near their box.
    """
    height, width = bgr.shape[:2]
    factor = min(MAX_ENLARGEMENT, max(1, math.ceil(SMALL / max(height, width))))
    named = _surest(categories)
    found = [_mark(item, str(item["label"]), named, (width, height), factor) for item in detections]
    found += [_mark(item, None, named, (width, height), factor) for item in faces]
    marks = [mark for mark in found if mark is not None]
    if not (marks or None in named):
        return bgr
    canvas = _canvas(bgr, factor)
    height, width = canvas.shape[:2]
    scale = (math.sqrt(height * width) / 554.0) ** 0.85  # 1 at 640 × 480
    _draw_boxes(canvas, marks, max(1, round(2.6 * scale)), factor)
    text_size = min(max(12, round((12.0 if len(marks) > CROWD else 15.0) * scale)), width // 6, height // 2)
    if text_size >= MIN_TEXT:
        whole = named.get(None)
        caption = (f"picture: {_words(whole['category'])}", _percent(whole["confidence"])) if whole else None
        draw_labels(canvas, marks, caption, text_size)
    return canvas


def _surest(categories: Sequence[Mapping[str, Any]]) -> dict[Any, Mapping[str, Any]]:
    """Return the surest category of each box that the detector did not give; under None, that of the picture."""
    own = [item for item in categories if item.get("detected") is None]
    own.sort(key=lambda item: item["confidence"] if math.isfinite(item["confidence"]) else -1.0)
    return {tuple(item["box"]) if item.get("box") else None: item for item in own}


def _mark(
    item: Mapping[str, Any], label: str | None, named: Mapping[Any, Mapping[str, Any]], size: Pair, factor: int
) -> Mark | None:
    """Return the finding on a canvas of ``factor`` times the picture's size; None where it lies outside.

    ``label`` is None for a face; ``named`` are the categories from `_surest`; ``size`` is (width, height).
    """
    x1, y1, x2, y2 = (float(edge) for edge in item["box"])
    across, down = _span(x1, x2, size[0], factor), _span(y1, y2, size[1], factor)
    if across is None or down is None:
        return None
    category, more = named.get(tuple(item["box"])), ""
    if label and category and category["category"] != label:
        more = f"{_words(category['category'])} {_percent(category['confidence'])}"
    return Mark(
        box=(across[0], down[0], across[1], down[1]),
        name="face" if label is None else _words(label),
        percent=_percent(item["score"]),
        category=more,
        score=float(item["score"]),
        colour=FACE_COLOUR if label is None else _class_colour(label),
        landmarks=item.get("landmarks") or () if label is None else (),
    )


def _words(name: str) -> str:
    """Return a name for drawing, cut after MAX_LABEL + 1 characters."""
    return "".join(c if c.isprintable() else " " for c in name[: MAX_LABEL + 1]).strip()


def _percent(share: float) -> str:
    """Return a share of 1 as ``91%``: only 1 is 100%, and NaN is nothing."""
    return f"{min(round(100 * share), 99 if share < 1 else 100)}%" if math.isfinite(share) else ""


def _class_colour(label: str) -> Colour:
    """Return the colour of a class: always the same, for any label."""
    return PALETTE[zlib.crc32(label.encode("utf-8", "replace"), SALT) % len(PALETTE)]


def _span(low: float, high: float, size: int, factor: int) -> Pair | None:
    """Return the canvas pixels [first, last) of a span, at least one; None where it lies outside 0..size."""
    low, high = min(low, high), max(low, high)
    if not (high >= 0 and low <= size):  # so written, a NaN is outside
        return None
    first = min(round(max(low, 0.0) * factor), size * factor - 1)
    return first, max(first + 1, round(min(high, float(size)) * factor))


def _canvas(bgr: Pixels, factor: int) -> Pixels:
    """Return the canvas: an enlarged copy, or the array itself where OpenCV can write to it."""
    if factor > 1:
        size = (bgr.shape[1] * factor, bgr.shape[0] * factor)
        return np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    return bgr if bgr.flags.c_contiguous and bgr.flags.writeable else np.array(bgr, order="C")


def _draw_boxes(canvas: Pixels, marks: Sequence[Mark], line: int, factor: int) -> None:
    """Draw boxes, the largest first so that small ones stay visible, and landmarks on top of them."""
    for mark in sorted(marks, key=lambda m: (m.box[0] - m.box[2]) * (m.box[3] - m.box[1])):
        x1, y1, x2, y2 = mark.box
        least = min(x2 - x1, y2 - y1)
        own = min(line, max(1, least // 7))  # a thick line would hide the content of a small box
        rim = max(1, own // 3)
        for part in _sides(max(0, x1 - rim), max(0, y1 - rim), x2 + rim, y2 + rim, rim):
            canvas[part] >>= 1  # a shadow around the line shows it on any background
        for part in _sides(x1, y1, x2, y2, own):
            canvas[part] = mark.colour
        _draw_dots(canvas, mark, min(2.0 * line, max(1.2, 0.025 * least)), factor)


def _sides(x1: int, y1: int, x2: int, y2: int, line: int) -> list[tuple[slice, slice]]:
    """Return the four sides of a frame of ``line`` pixels along the inside of a box, none overlapping another."""
    inner = slice(y1 + line, max(y1 + line, y2 - line))
    sides = [(slice(y1, y1 + line), slice(x1, x2)), (slice(max(y1 + line, y2 - line), y2), slice(x1, x2))]
    return [*sides, (inner, slice(x1, x1 + line)), (inner, slice(max(x1 + line, x2 - line), x2))]


def _draw_dots(canvas: Pixels, mark: Mark, radius: float, factor: int) -> None:
    """Draw landmarks as dots with a dark rim, anti-aliased and placed to a sixteenth of a pixel."""
    height, width = canvas.shape[:2]
    points = [(float(point[0]) * factor, float(point[1]) * factor) for point in mark.landmarks]
    for x, y in ((x, y) for x, y in points if 0 <= x <= width and 0 <= y <= height):
        for reach, colour in ((1.35 * radius + 0.4, DARK), (radius, mark.colour)):
            corners = np.rint((_CIRCLE * reach + (x - 0.5, y - 0.5)) * 16)  # OpenCV counts from a pixel's centre
            cv2.fillConvexPoly(canvas, corners.astype(np.int32), colour, cv2.LINE_AA, 4)

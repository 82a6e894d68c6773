"""Draw findings onto a picture: labelled boxes, faces and their landmarks, readable at any size of picture."""

import math
import threading
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]
Colour = tuple[int, int, int]
Pair = tuple[int, int]
Rect = tuple[int, int, int, int]  # x1, y1, x2, y2

SMALL = 480  # pixels: a picture whose long side is shorter is drawn on an enlarged copy
MAX_ENLARGEMENT = 16
MAX_LABEL = 48  # characters of a name
MAX_LABELS = 200  # the surest findings' labels: with more, one would see labels and no picture
CROWD = 12  # findings: with more, labels get smaller
LEAST_TEXT = 8  # pixels: smaller text cannot be read, so none is drawn
WEIGHT = 600  # of the font: semibold
DARK: Colour = (24, 20, 16)
LIGHT: Colour = (255, 255, 255)
FACE_COLOUR: Colour = (60, 214, 255)  # amber, which no class has
# RGB: far enough apart to be told from each other, and bright enough to be seen on most pictures.
_RGB = bytes.fromhex(
    "e6394c 2f80ed 27ae60 f2711c 9b51e0 00b5ad e84393 7cb518 4c5fd7 c0562b 0fa3d8 b5179e"
    "1e8f4e ff6f61 6a4fe3 3fc380 d81e5b 0077b6 a3b100 8e44ad ff8a3d 16a2a2 c2185b 5b8c2a"
)
PALETTE: tuple[Colour, ...] = tuple((_RGB[i + 2], _RGB[i + 1], _RGB[i]) for i in range(0, len(_RGB), 3))
SALT = 32494  # chosen so that things often seen together (person, car, dog, chair, cup, …) differ in colour
# 24 corners, [24, 2], on the unit circle: cv2.circle draws small circles with four.
_CIRCLE = np.exp(2j * np.pi * np.arange(24) / 24).view(np.float64).reshape(-1, 2)


class _Mark(NamedTuple):
    """A finding as it is drawn: box in whole pixels of the canvas, within it, with x1 < x2 and y1 < y2."""

    box: Rect
    name: str
    percent: str
    score: float
    colour: Colour
    landmarks: Sequence[Sequence[float]]


class _Fonts(threading.local):
    """The typeface that OpenCV carries, one instance per thread: it holds state while it draws."""

    def __init__(self) -> None:
        self.sans = cv2.FontFace("sans")


_fonts = _Fonts()


def draw_findings(bgr: Pixels, detections: Sequence[Mapping[str, Any]], faces: Sequence[Mapping[str, Any]]) -> Pixels:
    """Draw labelled boxes, and faces with their landmarks.

    Args:
        bgr: uint8 [h, w, 3]. It may be drawn on in place: pass an array that is no longer needed.
        detections: ``{"label", "score", "box": [x1, y1, x2, y2]}``, in pixels of ``bgr``, scores 0..1.
        faces: ``{"score", "box", "landmarks": [[x, y], …]}``, in pixels of ``bgr``; landmarks may be absent.

    Returns:
        uint8 [h · n, w · n, 3]. n is 1 (the same array, where it can be written to) unless the long side is under
        SMALL and there is something to draw: then n is the whole number that brings it there, so that labels can
        be read. Boxes that lie outside are left out, and a label that finds no free place beside its box is too.
    """
    height, width = bgr.shape[:2]
    factor = min(MAX_ENLARGEMENT, max(1, math.ceil(SMALL / max(height, width))))
    found = [_mark(item, str(item["label"]), width, height, factor) for item in detections]
    found += [_mark(item, None, width, height, factor) for item in faces]
    marks = [mark for mark in found if mark is not None]
    if not marks:
        return bgr
    canvas = _canvas(bgr, factor)
    height, width = canvas.shape[:2]
    scale = (math.sqrt(height * width) / 554.0) ** 0.85  # 1 at 640 × 480
    _draw_boxes(canvas, marks, max(1, round(2.6 * scale)), factor)
    text_size = min(max(12, round((12.0 if len(marks) > CROWD else 15.0) * scale)), width // 6, height // 2)
    if text_size >= LEAST_TEXT:
        _draw_labels(canvas, marks, text_size)
    return canvas


def _mark(item: Mapping[str, Any], label: str | None, width: int, height: int, factor: int) -> _Mark | None:
    """Return the finding on a canvas of ``factor`` times the picture's size; None where it lies outside.

    ``label`` is None for a face.
    """
    x1, y1, x2, y2 = (float(edge) for edge in item["box"])
    across, down = _span(x1, x2, width, factor), _span(y1, y2, height, factor)
    if across is None or down is None:
        return None
    score = float(item["score"])
    percent = f"{min(round(100 * score), 99 if score < 1 else 100)}%" if math.isfinite(score) else ""
    name = "face" if label is None else "".join(c if c.isprintable() else " " for c in label[: MAX_LABEL + 1])
    return _Mark(
        box=(across[0], down[0], across[1], down[1]),
        name=name.strip(),
        percent=percent,
        score=score,
        colour=FACE_COLOUR if label is None else _class_colour(label),
        landmarks=item.get("landmarks") or () if label is None else (),
    )


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
    """Return what is drawn on: an enlarged copy, or the array itself where OpenCV can write to it."""
    if factor > 1:
        size = (bgr.shape[1] * factor, bgr.shape[0] * factor)
        return np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    return bgr if bgr.flags.c_contiguous and bgr.flags.writeable else np.array(bgr, order="C")


def _draw_boxes(canvas: Pixels, marks: Sequence[_Mark], line: int, factor: int) -> None:
    """Draw boxes, the largest first so that small ones stay visible, and landmarks on top of them."""
    for mark in sorted(marks, key=lambda m: (m.box[0] - m.box[2]) * (m.box[3] - m.box[1])):
        x1, y1, x2, y2 = mark.box
        least = min(x2 - x1, y2 - y1)
        own = min(line, max(1, least // 7))  # a thick line would hide what a small box holds
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


def _draw_dots(canvas: Pixels, mark: _Mark, radius: float, factor: int) -> None:
    """Draw landmarks as dots with a dark rim, anti-aliased and placed to a sixteenth of a pixel."""
    height, width = canvas.shape[:2]
    points = [(float(point[0]) * factor, float(point[1]) * factor) for point in mark.landmarks]
    for x, y in ((x, y) for x, y in points if 0 <= x <= width and 0 <= y <= height):
        for reach, colour in ((1.35 * radius + 0.4, DARK), (radius, mark.colour)):
            corners = np.rint((_CIRCLE * reach + (x - 0.5, y - 0.5)) * 16)  # OpenCV counts from a pixel's centre
            cv2.fillConvexPoly(canvas, corners.astype(np.int32), colour, cv2.LINE_AA, 4)


def _draw_labels(canvas: Pixels, marks: Sequence[_Mark], text_size: int) -> None:
    """Place and draw labels, the surest finding's first: where there is not room for all, it keeps its own."""
    height, width = canvas.shape[:2]
    pad = max(2, round(0.3 * text_size))
    tall = min(height, round(0.76 * text_size) + 2 * pad)  # the font's capitals are 0.76 of its size
    boxes = np.array([mark.box for mark in marks], dtype=np.float64)
    placed: list[Rect] = []
    shown: list[tuple[_Mark, str, Rect]] = []
    for mark in sorted(marks, key=lambda m: -m.score if math.isfinite(m.score) else 0.0)[:MAX_LABELS]:
        text, wide = _fitted(mark.name, mark.percent, text_size, width - 2 * pad)
        wide += 2 * pad
        at = _place(mark.box, (wide, tall), (width, height), boxes, placed)
        if at is not None:
            placed.append((at[0], at[1], at[0] + wide, at[1] + tall))
            shown.append((mark, text, placed[-1]))
    for mark, _, label in shown:  # all of these before the first label: none is crossed
        _draw_leader(canvas, label, mark, max(1, text_size // 8))
    baseline = (pad, pad + round(0.76 * text_size))
    for mark, text, (x1, y1, x2, y2) in shown:
        patch = canvas[y1:y2, x1:x2]
        patch[:] = mark.colour
        cv2.putText(patch, text, baseline, _ink(mark.colour), _fonts.sans, text_size, WEIGHT)


def _ink(colour: Colour) -> Colour:
    """Return the text colour with the larger contrast on a background (WCAG 2.1, relative luminance)."""
    blue, green, red = ((c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour)  # noqa: PLR2004
    luminance = 0.0722 * blue + 0.7152 * green + 0.2126 * red
    return DARK if luminance > 0.28 else LIGHT  # noqa: PLR2004 - where both contrasts are equal


@lru_cache(maxsize=512)
def _fitted(name: str, percent: str, text_size: int, room: int) -> tuple[str, int]:
    """Return a label, its name shortened until all is at most ``room`` pixels wide, and its width."""
    for kept in range(min(len(name), MAX_LABEL), -1, -1):
        shown = f"{name[:kept].rstrip()}{'…' if kept < len(name) else ''} {percent}".strip()
        wide = int(cv2.getTextSize((0, 0), shown, (0, 0), _fonts.sans, text_size, WEIGHT)[2])
        if wide <= room:
            break
    return shown, min(wide, room)


def _place(box: Rect, size: Pair, canvas: Pair, boxes: Boxes, placed: Sequence[Rect]) -> Pair | None:
    """Return a label's top left corner, covering no other label and as little of any finding as it can.

    ``size`` and ``canvas`` are width and height; ``boxes`` is [n, 4], all findings, ``placed`` the labels so far.
    First along the box's edges, then further off; None where all of that is taken.
    """
    (x1, y1, x2, y2), (w, h) = box, size
    near = [(x, y) for y in (y1 - h, y1, y2, y2 - h) for x in (x1, x2 - w)] + [(x1 - w, y1), (x2, y1)]
    gap = max(1, h // 16)  # a line of picture between two labels, which may have one colour
    far = [(x1 + i * (w + 2 * gap) / 2, y1 + j * (h + gap)) for j in range(-5, 6) for i in range(-4, 5)]
    taken = np.array(placed, dtype=np.float64).reshape(-1, 4) + np.array((-gap, -gap, gap, gap))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for spots in (near, far):
        corners = np.clip(np.floor(np.array(spots, dtype=np.float64)), 0, (canvas[0] - w, canvas[1] - h))
        corners = corners[~_common(corners, size, taken).any(axis=1)]
        if len(corners):
            # Hiding all of a small box is worse than a strip of a large one, and a label belongs near its box.
            cost = (_common(corners, size, boxes) / areas).sum(axis=1) + 0.02 * np.arange(len(corners))
            cost += np.abs((corners - (x1, y1)) / size).sum(axis=1) if spots is far else 0.0
            best = corners[cost.argmin()]
            return int(best[0]), int(best[1])
    return None


def _common(corners: Boxes, size: Pair, boxes: Boxes) -> Boxes:
    """Return the areas, [m, n], that labels of one size at m top left corners, [m, 2], share with n boxes."""
    x, y = corners[:, :1], corners[:, 1:]
    wide = np.minimum(x + size[0], boxes[:, 2]) - np.maximum(x, boxes[:, 0])
    tall = np.minimum(y + size[1], boxes[:, 3]) - np.maximum(y, boxes[:, 1])
    return np.asarray(np.maximum(wide, 0.0) * np.maximum(tall, 0.0))


def _draw_leader(canvas: Pixels, label: Rect, mark: _Mark, line: int) -> None:
    """Join a label to its box where the two do not touch."""
    ends: list[Pair] = []  # x and y: of the label's nearest point, and of the box's
    for i in (0, 1):
        low, high = max(label[i], mark.box[i]), min(label[i + 2], mark.box[i + 2])
        middle = (low + high) // 2
        ends.append((middle, middle) if low <= high else (high, low) if label[i] < mark.box[i] else (low, high))
    if ends[0][0] != ends[0][1] or ends[1][0] != ends[1][1]:
        cv2.line(canvas, (ends[0][0], ends[1][0]), (ends[0][1], ends[1][1]), mark.colour, line, cv2.LINE_AA)

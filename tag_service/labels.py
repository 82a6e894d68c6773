"""Labels on a picture: shortened, placed without hiding each other, and drawn."""

import math
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]
Colour = tuple[int, int, int]
Pair = tuple[int, int]
Rect = tuple[int, int, int, int]  # x1, y1, x2, y2

MAX_LABEL = 48  # characters of a name
MAX_LABELS = 200  # of the surest findings: more would cover the picture
WEIGHT = 600  # of the font: semibold
DARK: Colour = (24, 20, 16)
LIGHT: Colour = (255, 255, 255)


class Mark(NamedTuple):
    """A finding to draw: its box in whole pixels of the canvas, within it, with x1 < x2 and y1 < y2."""

    box: Rect
    name: str
    percent: str
    category: str
    """An addition to the label, as ``cat 88%``, or empty."""
    score: float
    colour: Colour
    landmarks: Sequence[Sequence[float]]


class _Fonts(threading.local):
    """OpenCV's typeface, one instance per thread, since it holds state while drawing."""

    def __init__(self) -> None:
        self.sans = cv2.FontFace("sans")


_fonts = _Fonts()


def draw_labels(canvas: Pixels, marks: Sequence[Mark], caption: tuple[str, str] | None, text_size: int) -> None:
    """Place and draw labels, those of the surest findings first; labels without room are left out.

    Args:
        canvas: uint8 [h, w, 3], writeable.
        marks: the findings.
        caption: a name and its percentage for the whole picture, in the corner where it hides least, and no label.
        text_size: pixels, of the font.
    """
    height, width = canvas.shape[:2]
    pad = max(2, round(0.3 * text_size))
    tall = min(height, round(0.76 * text_size) + 2 * pad)  # the font's capitals are 0.76 of its size
    boxes = np.array([mark.box for mark in marks], dtype=np.float64).reshape(-1, 4)
    placed: list[Rect] = []
    shown: list[tuple[Mark, str]] = []
    for mark in sorted(marks, key=lambda m: -m.score if math.isfinite(m.score) else 0.0)[:MAX_LABELS]:
        text, wide = _fitted(mark.name, mark.percent, mark.category, text_size, width - 2 * pad)
        at = _place(mark.box, (wide + 2 * pad, tall), (width, height), boxes, placed)
        if at is not None:
            placed.append((at[0], at[1], at[0] + wide + 2 * pad, at[1] + tall))
            shown.append((mark, text))
    for (mark, _), label in zip(shown, placed, strict=True):  # before all labels, so that no leader crosses one
        _draw_leader(canvas, label, mark, max(1, text_size // 8))
    for (mark, text), label in zip(shown, placed, strict=True):
        _draw_text(canvas, text, label, mark.colour, text_size, pad)
    if caption:
        text, wide = _fitted(*caption, "", text_size, width - 2 * pad)
        size = (wide + 2 * pad, tall)
        at = _best([(0, height), (width, height), (0, 0), (width, 0)], size, (width, height), boxes, placed)
        if at is not None:
            _draw_text(canvas, text, (*at, at[0] + size[0], at[1] + size[1]), DARK, text_size, pad)


def _draw_text(canvas: Pixels, text: str, at: Rect, colour: Colour, text_size: int, pad: int) -> None:
    x1, y1, x2, y2 = at
    patch = canvas[y1:y2, x1:x2]
    patch[:] = colour
    cv2.putText(patch, text, (pad, pad + round(0.76 * text_size)), _ink(colour), _fonts.sans, text_size, WEIGHT)


def _ink(colour: Colour) -> Colour:
    """Return the text colour with the larger contrast on a background (WCAG 2.1, relative luminance)."""
    blue, green, red = ((c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour)  # noqa: PLR2004
    luminance = 0.0722 * blue + 0.7152 * green + 0.2126 * red
    return DARK if luminance > 0.28 else LIGHT  # noqa: PLR2004 - where both contrasts are equal


@lru_cache(maxsize=512)
def _fitted(name: str, percent: str, category: str, text_size: int, room: int) -> tuple[str, int]:
    """Return a label, at most ``room`` pixels wide, and its width; shorten it if needed."""
    longest = min(len(name), MAX_LABEL)
    full = f"{percent} · {category}" if category else percent
    for kept, tail in ((longest, full), *((kept, percent) for kept in range(longest, -1, -1))):
        shown = f"{name[:kept].rstrip()}{'…' if kept < len(name) else ''} {tail}".strip()
        wide = int(cv2.getTextSize((0, 0), shown, (0, 0), _fonts.sans, text_size, WEIGHT)[2])
        if wide <= room:
            break
    return shown, min(wide, room)


def _place(box: Rect, size: Pair, canvas: Pair, boxes: Boxes, placed: Sequence[Rect]) -> Pair | None:
    """Return a label's top left corner that covers no other label and as little as possible of the findings.

    ``size`` and ``canvas`` are width and height; ``boxes`` is [n, 4], all findings, ``placed`` the labels so far.
    First along the box's edges, then further away; None where all places are taken.
    """
    (x1, y1, x2, y2), (w, h) = box, size
    near = [(x, y) for y in (y1 - h, y1, y2, y2 - h) for x in (x1, x2 - w)] + [(x1 - w, y1), (x2, y1)]
    at = _best(near, size, canvas, boxes, placed)
    if at is None:
        gap = _gap(h)
        far = [(x1 + i * (w + 2 * gap) / 2, y1 + j * (h + gap)) for j in range(-5, 6) for i in range(-4, 5)]
        at = _best(far, size, canvas, boxes, placed, (x1, y1))
    return at


def _best(
    spots: Sequence[tuple[float, float]],
    size: Pair,
    canvas: Pair,
    boxes: Boxes,
    placed: Sequence[Rect],
    near: Pair | None = None,
) -> Pair | None:
    """Return the spot, a top left corner, where a label hides no placed label and least of the findings.

    None where all are taken. Among equal spots the first is chosen, or the nearest to ``near``.
    """
    gap = _gap(size[1])
    taken = np.array(placed, dtype=np.float64).reshape(-1, 4) + np.array((-gap, -gap, gap, gap))
    corners = np.clip(np.floor(np.array(spots, dtype=np.float64)), 0, (canvas[0] - size[0], canvas[1] - size[1]))
    corners = corners[~_common(corners, size, taken).any(axis=1)]
    if len(corners) == 0:
        return None
    # Hiding all of a small box is worse than a strip of a large one, and a label belongs near its box.
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    cost = (_common(corners, size, boxes) / areas).sum(axis=1) + 0.02 * np.arange(len(corners))
    cost += np.abs((corners - near) / size).sum(axis=1) if near is not None else 0.0
    best = corners[cost.argmin()]
    return int(best[0]), int(best[1])


def _gap(tall: int) -> int:
    """Return the gap between two labels, which may have the same colour, in pixels."""
    return max(1, tall // 16)


def _common(corners: Boxes, size: Pair, boxes: Boxes) -> Boxes:
    """Return the areas, [m, n], that labels of one size at m top left corners, [m, 2], share with n boxes."""
    x, y = corners[:, :1], corners[:, 1:]
    wide = np.minimum(x + size[0], boxes[:, 2]) - np.maximum(x, boxes[:, 0])
    tall = np.minimum(y + size[1], boxes[:, 3]) - np.maximum(y, boxes[:, 1])
    return np.asarray(np.maximum(wide, 0.0) * np.maximum(tall, 0.0))


def _draw_leader(canvas: Pixels, label: Rect, mark: Mark, line: int) -> None:
    """Join a label to its box where the two do not touch."""
    ends: list[Pair] = []  # x and y: of the label's nearest point, and of the box's
    for i in (0, 1):
        low, high = max(label[i], mark.box[i]), min(label[i + 2], mark.box[i + 2])
        middle = (low + high) // 2
        ends.append((middle, middle) if low <= high else (high, low) if label[i] < mark.box[i] else (low, high))
    if ends[0][0] != ends[0][1] or ends[1][0] != ends[1][1]:
        cv2.line(canvas, (ends[0][0], ends[1][0]), (ends[0][1], ends[1][1]), mark.colour, line, cv2.LINE_AA)

"""Turning pictures upright."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from stageline.imaging.colour import Pixels

# EXIF orientation → how the stored rows are turned to be seen upright (EXIF 2.32, tag 274).
_TURNS: dict[int, Callable[[Pixels], Any]] = {
    2: lambda a: cv2.flip(a, 1),
    3: lambda a: cv2.rotate(a, cv2.ROTATE_180),
    4: lambda a: cv2.flip(a, 0),
    5: cv2.transpose,
    6: lambda a: cv2.rotate(a, cv2.ROTATE_90_CLOCKWISE),
    7: lambda a: cv2.rotate(cv2.transpose(a), cv2.ROTATE_180),
    8: lambda a: cv2.rotate(a, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn a stored picture, uint8 [h, w, 3], by its EXIF orientation; the same array if no turn is needed."""
    turn = _TURNS.get(orientation)
    return pixels if turn is None else np.asarray(turn(pixels), dtype=np.uint8)

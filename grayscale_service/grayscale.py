"""Conversion from colour to grey. Pure."""

import cv2
import numpy as np

from stageline.imaging.codec import Pixels


def to_gray(bgr: Pixels) -> Pixels:
    """Return the luma (ITU-R BT.601) of BGR uint8 [h, w, 3] as uint8 [h, w]."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), dtype=np.uint8)

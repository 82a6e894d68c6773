"""Whatever a decoder gives, as BGR uint8 [height, width, 3]: transparency on white, 16 bits as 8."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
STRIP_ROWS = 256  # how many rows are converted at a time: the steps between need no more memory than that
COLOURS = 3


def from_pillow(image: Image.Image) -> Pixels:
    """Convert a picture of any of Pillow's modes."""
    image.load()
    bgr = np.empty((image.height, image.width, COLOURS), np.uint8)
    for top in range(0, image.height, STRIP_ROWS):
        bottom = min(image.height, top + STRIP_ROWS)
        bgr[top:bottom] = _strip(image.crop((0, top, image.width, bottom)))
    return bgr


def on_white(pixels: Pixels) -> Pixels:
    """Lay BGRA [h, w, 4] on white; BGR [h, w, 3] is returned as it is."""
    height, width, channels = pixels.shape
    if channels == COLOURS:
        return pixels
    bgr = np.empty((height, width, COLOURS), np.uint8)
    for top in range(0, height, STRIP_ROWS):
        strip = slice(top, top + STRIP_ROWS)
        alpha = pixels[strip, :, COLOURS:].astype(np.uint16)
        bgr[strip] = (pixels[strip, :, :COLOURS] * alpha + (255 * (255 - alpha) + 127)) // 255
    return bgr


def _strip(image: Image.Image) -> Pixels:
    if image.mode.startswith(("I", "F")):
        return _from_deep_grey(image)
    if image.has_transparency_data:
        return on_white(np.asarray(cv2.cvtColor(np.asarray(image.convert("RGBA")), cv2.COLOR_RGBA2BGRA), np.uint8))
    return np.asarray(image.convert("RGB"))[:, :, ::-1]


def _from_deep_grey(image: Image.Image) -> Pixels:
    """Take 16 bits of grey to 8 as the top byte (Pillow's own convert clips instead); the transparent grey is white."""
    deep = np.asarray(image).astype(np.uint32)
    grey = (deep >> 8).clip(0, 255).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[deep == transparent] = 255
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)

"""Converts decoded pixels to BGR uint8 [height, width, 3]: sRGB, transparency on white, 16 bits to 8."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stageline.imaging.colour import STRIP_ROWS, Conversion, Pixels

COLOURS = 3


def from_pillow(image: Image.Image, conversion: Conversion | None) -> Pixels:
    """Convert a picture of any of Pillow's modes."""
    image.load()
    bgr = np.empty((image.height, image.width, COLOURS), np.uint8)
    for top in range(0, image.height, STRIP_ROWS):
        bottom = min(image.height, top + STRIP_ROWS)
        bgr[top:bottom] = _strip(image.crop((0, top, image.width, bottom)), conversion)
    return bgr


def from_opencv(pixels: Pixels, conversion: Conversion | None) -> Pixels:
    """Lay BGRA [h, w, 4] on white, in sRGB; BGR [h, w, 3] is converted in place if necessary."""
    if conversion is not None:
        conversion.convert(pixels)
    return on_white(pixels)


def from_deep_colour(pixels: NDArray[np.uint16], conversion: Conversion | None) -> Pixels:
    """Take BGR [h, w, 3] or BGRA [h, w, 4] of 16 bits to 8, as the top byte, on white."""
    bgr = np.empty((*pixels.shape[:2], COLOURS), np.uint8)
    for top in range(0, pixels.shape[0], STRIP_ROWS):
        strip = slice(top, top + STRIP_ROWS)
        bgr[strip] = from_opencv((pixels[strip] >> 8).astype(np.uint8), conversion)
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


def _strip(image: Image.Image, conversion: Conversion | None) -> Pixels:
    if image.mode.startswith(("I", "F")):
        return _from_deep_grey(image, conversion)
    if image.mode == "CMYK":
        rgb = conversion.convert_cmyk(image) if conversion else image.convert("RGB")
        return np.asarray(rgb)[:, :, ::-1]
    if image.has_transparency_data:
        pixels = cv2.cvtColor(np.asarray(image.convert("RGBA")), cv2.COLOR_RGBA2BGRA)
    elif conversion is None:
        return np.asarray(image.convert("RGB"))[:, :, ::-1]
    else:
        pixels = cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)
    return from_opencv(np.asarray(pixels, np.uint8), conversion)


def _from_deep_grey(image: Image.Image, conversion: Conversion | None) -> Pixels:
    """Take 16 bits of grey to 8 as the top byte (Pillow's own convert clips instead); the transparent grey is white."""
    deep = np.asarray(image).astype(np.uint32)
    grey = (deep >> 8).clip(0, 255).astype(np.uint8)
    bgr = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    if conversion is not None:
        conversion.convert(bgr)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        bgr[deep == transparent] = 255
    return bgr

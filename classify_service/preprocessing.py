"""Fits crops, BGR uint8 [h, w, 3], to the size of a network's input. Pure functions."""

import math

import numpy as np

from stageline.core.errors import ModelError
from stageline.imaging.codec import Pixels
from stageline.inference import model_input
from stageline.inference.model_input import Size, resized
from stageline.registry.card import Card, Preprocessing


def input_size(card: Card) -> Size:
    """Return the height and width of the network's input.

    Raises:
        ModelError: the card asks for a preprocessing that does not exist for crops.
    """
    size, resize = model_input.input_size(card), card.preprocessing.resize
    if resize is not None and resize < max(size):
        raise ModelError(f"{card.reference}: preprocessing.resize is {resize}, less than the input's sides")
    return size


def fitted(bgr: Pixels, size: Size, how: Preprocessing) -> Pixels:
    """Return a crop at the input's size, uint8 [height, width, 3], in its own memory.

    ``stretch`` resizes width and height separately. ``letterbox`` keeps the shape, at the top left of a grey canvas.
    ``crop`` resizes the shorter side to `how.resize` (absent: as far as needed) and cuts out the middle, as torchvision
    does for ImageNet: Resize, then CenterCrop.
    """
    height, width = size
    if how.fit == "crop":
        return _middle(bgr, size, how.resize or max(size))
    if how.fit == "letterbox":
        scale = useful_scale(bgr.shape[1], bgr.shape[0], size, how)
        inner = max(1, round(bgr.shape[0] * scale)), max(1, round(bgr.shape[1] * scale))
        return model_input.letterboxed(bgr, inner, size)
    return np.array(resized(bgr, width, height))  # a view would keep the whole picture in memory


def useful_scale(crop_width: int, crop_height: int, size: Size, how: Preprocessing) -> float:
    """Return the scale to which a crop may be shrunk and still fill the input; above 1 where it is too small."""
    height, width = size
    if how.fit == "crop":
        return (how.resize or max(size)) / min(crop_width, crop_height)
    across, down = width / crop_width, height / crop_height
    return min(across, down) if how.fit == "letterbox" else max(across, down)


def _middle(bgr: Pixels, size: Size, shorter: int) -> Pixels:
    """Resize the shorter side to that length, and cut out the middle.

    The far ends are cut off first: otherwise a picture of 1 × 10 000 would become 256 × 2 560 000.
    """
    scale = shorter / min(bgr.shape[:2])
    most = [4 * math.ceil(side / scale) for side in size]
    bgr = bgr[_central(bgr.shape[0], most[0]), _central(bgr.shape[1], most[1])]
    bgr = resized(bgr, max(shorter, int(bgr.shape[1] * scale)), max(shorter, int(bgr.shape[0] * scale)))
    return np.array(bgr[_central(bgr.shape[0], size[0]), _central(bgr.shape[1], size[1])])


def _central(length: int, most: int) -> slice:
    """Return the middle of 0..length, at most that many pixels."""
    first = max(0, round((length - most) / 2))
    return slice(first, min(length, first + most))

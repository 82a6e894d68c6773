"""From a crop, BGR uint8 [h, w, 3], to the array that a card's network takes. Pure functions."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stageline.errors import ModelError
from stageline.images import Pixels
from stageline.modelstore import Card, Input, Preprocessing

PAD = 114  # the grey around what is letterboxed, as for detectors
COLOURS = 3
Size = tuple[int, int]  # height, width


def input_size(card: Card) -> Size:
    """Return the height and width of the network's input.

    Raises:
        ModelError: the card asks for something that crops are not given as.
    """
    shape, resize = card.input.shape, card.preprocessing.resize
    sides, channels = (shape[1:3], shape[3]) if card.input.layout == "NHWC" else (shape[2:4], shape[1])
    height, width = (side if isinstance(side, int) else 0 for side in sides)
    if not (height and width and channels == COLOURS and shape[0] in (1, "batch")):
        wanted = '["batch", 3, height, width] for NCHW, ["batch", height, width, 3] for NHWC; or 1 for "batch"'
        raise ModelError(f"{card.reference}: the card's input.shape is {list(shape)}; for crops it is {wanted}")
    plain = Input(shape=shape, dtype="uint8", layout=card.input.layout, colour=card.input.colour)
    if card.input.dtype == "uint8" and card.input != plain:
        raise ModelError(f"{card.reference}: a uint8 input takes pixels as they are: leave range, mean and std out")
    if resize is not None and resize < max(height, width):
        raise ModelError(f"{card.reference}: preprocessing.resize is {resize}, less than the input's sides")
    return height, width


def as_input(crops: Sequence[Pixels], wanted: Input) -> NDArray[Any]:
    """Return fitted crops, each BGR uint8 [h, w, 3], as one array, [n, 3, h, w] or [n, h, w, 3], by the card.

    A byte becomes (low + byte · (high - low) / 255 - mean) / std; mean and std stand in the order of its colours.
    """
    pixels = np.stack(crops)
    if wanted.colour == "RGB":
        pixels = pixels[..., ::-1]
    if wanted.layout == "NCHW":
        pixels = pixels.transpose(0, 3, 1, 2)
    if wanted.dtype == "uint8":
        return np.ascontiguousarray(pixels)
    per_channel = (COLOURS, 1, 1) if wanted.layout == "NCHW" else (COLOURS,)
    low, high = wanted.range
    mean, std = np.array(wanted.mean).reshape(per_channel), np.array(wanted.std).reshape(per_channel)
    array = pixels.astype(np.float32, order="C")
    array *= ((high - low) / 255 / std).astype(np.float32)
    array += ((low - mean) / std).astype(np.float32)
    return array


def fitted(bgr: Pixels, size: Size, how: Preprocessing) -> Pixels:
    """Return a crop at the input's size, uint8 [height, width, 3], in memory of its own.

    ``stretch`` resizes each side by itself; ``letterbox`` keeps the shape, at the top left of grey; ``crop`` resizes
    the shorter side to `how.resize` (absent: as far as needed) and cuts out the middle, as torchvision does for
    ImageNet: Resize, then CenterCrop.
    """
    height, width = size
    if how.fit == "crop":
        return _middle(bgr, size, how.resize or max(size))
    if how.fit == "letterbox":
        scale = useful_scale(bgr.shape[1], bgr.shape[0], size, how)
        rows, columns = max(1, round(bgr.shape[0] * scale)), max(1, round(bgr.shape[1] * scale))
        canvas = np.full((height, width, COLOURS), PAD, np.uint8)
        canvas[:rows, :columns] = resized(bgr, columns, rows)
        return canvas
    return np.array(resized(bgr, width, height))  # a view would keep the whole picture in memory


def useful_scale(crop_width: int, crop_height: int, size: Size, how: Preprocessing) -> float:
    """Return by how much a crop may be shrunk beforehand and still fill the input; above 1 where it is too small."""
    height, width = size
    if how.fit == "crop":
        return (how.resize or max(size)) / min(crop_width, crop_height)
    across, down = width / crop_width, height / crop_height
    return min(across, down) if how.fit == "letterbox" else max(across, down)


def resized(bgr: Pixels, width: int, height: int) -> Pixels:
    """Resize to width × height: sides that shrink by area averaging, then those that grow by linear interpolation.

    The same array when nothing changes.
    """
    least = (min(width, bgr.shape[1]), min(height, bgr.shape[0]))
    for target, how in ((least, cv2.INTER_AREA), ((width, height), cv2.INTER_LINEAR)):
        if (bgr.shape[1], bgr.shape[0]) != target:
            bgr = np.asarray(cv2.resize(bgr, target, interpolation=how), dtype=np.uint8)
    return bgr


def _middle(bgr: Pixels, size: Size, shorter: int) -> Pixels:
    """Resize the shorter side to that length, and cut out the middle.

    What lies far from the middle is cut off first: a picture of 1 × 10 000 would have to be made 256 × 2 560 000.
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

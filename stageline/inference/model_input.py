"""Converts pictures to a network's input, by its card. Pure functions."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stageline.core.errors import ModelError
from stageline.imaging.codec import Pixels
from stageline.registry.card import Card, Input

PAD = 114  # the grey around letterboxed pictures; YOLO networks were trained with it
COLOURS = 3
FREE = "batch"  # a card's name of the first axis if it is free
Size = tuple[int, int]  # height, width


def input_size(card: Card) -> Size:
    """Return the height and width of a network's input.

    Raises:
        ModelError: pictures cannot be converted to the input in the card.
    """
    shape, wanted = card.input.shape, card.input
    sides, channels = (shape[1:3], shape[3]) if wanted.layout == "NHWC" else (shape[2:4], shape[1])
    height, width = (side if isinstance(side, int) else 0 for side in sides)
    if not (height and width and channels == COLOURS and shape[0] in (1, FREE)):
        may_be = f'["{FREE}", 3, height, width] for NCHW, ["{FREE}", height, width, 3] for NHWC, or 1 for "{FREE}"'
        raise ModelError(f"{card.reference}: the card's input.shape is {list(shape)}; it must be {may_be}")
    factors, offsets = _scaling(wanted)
    if wanted.dtype == "uint8" and not _is_nothing(factors, offsets):
        raise ModelError(f"{card.reference}: a uint8 input takes pixels as they are: leave range, mean and std out")
    return height, width


def as_array(pictures: Sequence[Pixels], wanted: Input) -> NDArray[Any]:
    """Convert pictures of one size, each BGR uint8 [h, w, 3], to one array, [n, 3, h, w] or [n, h, w, 3], by the card.

    A byte becomes (low + byte · (high - low) / 255 - mean) / std; mean and std are in the order of the card's colours.
    """
    array = np.empty((len(pictures), COLOURS, *pictures[0].shape[:2]), np.dtype(wanted.dtype))
    for planes, picture in zip(array, pictures, strict=True):
        channels = cv2.split(picture)
        for plane, channel in zip(planes, channels if wanted.colour == "BGR" else reversed(channels), strict=True):
            plane[:] = channel
    factors, offsets = _scaling(wanted)
    if not _is_nothing(factors, offsets):
        array *= factors[:, None, None]
        array += offsets[:, None, None]
    return array if wanted.layout == "NCHW" else np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def resized(bgr: Pixels, width: int, height: int) -> Pixels:
    """Resize to width × height: shrink sides by area averaging, then grow sides by linear interpolation.

    Returns the same array if nothing changes.
    """
    least = (min(width, bgr.shape[1]), min(height, bgr.shape[0]))
    for target, how in ((least, cv2.INTER_AREA), ((width, height), cv2.INTER_LINEAR)):
        if (bgr.shape[1], bgr.shape[0]) != target:
            bgr = np.asarray(cv2.resize(bgr, target, interpolation=how), dtype=np.uint8)
    return bgr


def letterboxed(bgr: Pixels, inner: Size, outer: Size) -> Pixels:
    """Place a picture resized to `inner` at the top left of a grey canvas of the size `outer`, uint8 [h, w, 3]."""
    canvas: Pixels = np.full((*outer, COLOURS), PAD, np.uint8)
    canvas[: inner[0], : inner[1]] = resized(bgr, inner[1], inner[0])
    return canvas


def _scaling(wanted: Input) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the factor and the offset of a byte, for each colour."""
    low, high = wanted.range
    mean, std = np.array(wanted.mean), np.array(wanted.std)
    return ((high - low) / 255 / std).astype(np.float32), ((low - mean) / std).astype(np.float32)


def _is_nothing(factors: NDArray[np.float32], offsets: NDArray[np.float32]) -> bool:
    return bool((factors == 1).all() and (offsets == 0).all())

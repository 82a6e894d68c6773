"""Converts a picture to the array in a detector's card, and boxes in that array back to the picture."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stageline.core.errors import ModelError
from stageline.imaging.codec import Pixels
from stageline.inference import FloatArray, model_input
from stageline.registry.card import Card

STEP = 32  # pixels: the coarsest cells of YOLO-like networks


@dataclass(frozen=True)
class Placed:
    """An array for the network with the picture at its top left, and their scale."""

    array: NDArray[Any]
    height: int
    width: int
    """Of the array, in pixels."""
    scale: tuple[float, float]
    """Pixels of the array per pixel of the picture, across and down."""

    def in_picture(self, boxes: FloatArray, width: int, height: int) -> FloatArray:
        """Move boxes [n, 4] from the array to the picture of that size, and clip them there."""
        most = np.array([width, height] * 2, np.float32)
        return np.clip(boxes / np.array(self.scale * 2, np.float32), np.float32(0), most)


class Canvas:
    """The network's input, as its card describes it."""

    def __init__(self, card: Card) -> None:
        """Read the card.

        Raises:
            ModelError: the card asks for a preprocessing that does not exist for detectors.
        """
        self.height, self.width = model_input.input_size(card)
        if card.preprocessing.fit == "crop":
            raise ModelError(f"{card.reference}: preprocessing.fit is crop; a detector's is letterbox or stretch")
        self.least = False
        """Whether to letterbox to the smallest size: for networks that take any multiple of 32."""
        self._card = card

    def place(self, bgr: Pixels) -> Placed:
        """Fit a picture, BGR uint8 [h, w, 3], into the network's input."""
        if self._card.preprocessing.fit == "letterbox":
            pixels, ratio = letterbox(bgr, self.height, self.width, least=self.least)
            scale = (ratio, ratio)
        else:
            pixels = model_input.resized(bgr, self.width, self.height)
            scale = (self.width / bgr.shape[1], self.height / bgr.shape[0])
        array = model_input.as_array([pixels], self._card.input)
        return Placed(array, pixels.shape[0], pixels.shape[1], scale)


def letterbox(bgr: Pixels, height: int, width: int, *, least: bool) -> tuple[Pixels, float]:
    """Scale a picture to fit into height × width, at the top left of a grey canvas; return that and the scale.

    With `least` the canvas is no larger than the picture needs, in steps of 32 pixels: grey pixels cost as much as
    the picture's.
    """
    ratio = min(height / bgr.shape[0], width / bgr.shape[1])
    inner = max(1, round(bgr.shape[0] * ratio)), max(1, round(bgr.shape[1] * ratio))
    outer = (_stepped(inner[0]), _stepped(inner[1])) if least else (height, width)
    return model_input.letterboxed(bgr, inner, outer), ratio


def _stepped(length: int) -> int:
    return -(-length // STEP) * STEP

"""Pictures made harder by code, with their labels: turned, darkened, masked, or cut so that one head fills them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.heads.labels import Head, HeadPicture, Points

Pixels = NDArray[np.uint8]  # BGR, [height, width, 3]
Variant = Callable[[Pixels, HeadPicture], Iterator[tuple[Pixels, HeadPicture]]]

MIN_HEIGHT = 48  # pixels of a head: below it most faces are missed as they are
GREY = (114, 114, 114)
MASK = (220, 190, 150)  # the blue of a surgical mask
MASKED_FROM = 0.55  # of a head's height: below the eyes
CLOSE_UP = 1000  # pixels of a close-up's longer side


def easy_heads(picture: HeadPicture) -> HeadPicture:
    """Leave the heads that face the camera, are large enough and have no trait; the others are not counted."""
    easy = [h for h in picture.heads if h.facing == "front" and not h.traits and h.height >= MIN_HEIGHT]
    others = [head.corners for head in picture.heads if not any(head is one for one in easy)]
    return replace(picture, heads=easy, ignore=[*picture.ignore, *others])


def as_it_is(bgr: Pixels, picture: HeadPicture) -> Iterator[tuple[Pixels, HeadPicture]]:
    """The picture itself."""
    yield bgr, picture


def turned(degrees: float, bgr: Pixels, picture: HeadPicture) -> Iterator[tuple[Pixels, HeadPicture]]:
    """The picture turned anticlockwise about its centre, all of it on a grey ground."""
    height, width = bgr.shape[:2]
    matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0), np.float64)
    reach = np.abs(matrix[:, :2])
    outer = np.ceil(reach @ (width, height) - 1e-6).astype(int)
    matrix[:, 2] += outer / 2 - (width / 2, height / 2)
    pixels = cv2.warpAffine(bgr, matrix, outer.tolist(), flags=cv2.INTER_LINEAR, borderValue=GREY)
    yield np.asarray(pixels, np.uint8), _moved(picture, matrix, int(outer[0]), int(outer[1]))


def darkened(share: float, bgr: Pixels, picture: HeadPicture) -> Iterator[tuple[Pixels, HeadPicture]]:
    """The picture with that share of its brightness."""
    yield np.rint(bgr * share).astype(np.uint8), picture


def masked(bgr: Pixels, picture: HeadPicture) -> Iterator[tuple[Pixels, HeadPicture]]:
    """The picture with the lower part of each labelled head painted over."""
    pixels = bgr.copy()
    for head in picture.heads:
        (left, top), (right, bottom) = head.corners[0].astype(int), head.corners[2].astype(int)
        pixels[round(top + MASKED_FROM * (bottom - top)) : bottom, left:right] = MASK
    yield pixels, picture


def close_ups(bgr: Pixels, picture: HeadPicture) -> Iterator[tuple[Pixels, HeadPicture]]:
    """One picture for each head, which fills it but for a tenth on each side."""
    for head in picture.heads:
        low, high = head.corners[0], head.corners[2]
        margin = 0.1 * (high - low)
        left, top = np.maximum(np.floor(low - margin), 0).astype(int)
        right, bottom = np.minimum(np.ceil(high + margin), (picture.width, picture.height)).astype(int)
        scale = CLOSE_UP / max(right - left, bottom - top)
        width, height = round((right - left) * scale), round((bottom - top) * scale)
        pixels = cv2.resize(bgr[top:bottom, left:right], (width, height), interpolation=cv2.INTER_CUBIC)
        matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        yield np.asarray(pixels, np.uint8), _moved(replace(picture, heads=[head]), matrix, width, height)


def _moved(picture: HeadPicture, matrix: NDArray[np.float64], width: int, height: int) -> HeadPicture:
    """The labels after an affine map, [2, 3], into a picture of another size."""

    def move(points: Points) -> Points:
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])

    heads = [Head(move(head.corners), head.facing, head.traits) for head in picture.heads]
    return HeadPicture(picture.name, width, height, heads, [move(place) for place in picture.ignore])


VARIANTS: Mapping[str, Variant] = {
    "as they are": as_it_is,
    **{f"turned by {degrees}°": partial(turned, degrees) for degrees in (15, 30, 45, 60, 90, 180)},
    **{f"{100 * share:g} % of the brightness": partial(darkened, share) for share in (0.25, 0.1, 0.05)},
    "masked below the eyes": masked,
    "close-ups": close_ups,
}

"""Pictures that show none of the categories, for "none of these": cut from labelled photographs, and made by code.

Outlier exposure, Hendrycks et al. 2019, arXiv:1812.04606. Three sorts are cut from photographs: squares about labelled
objects that are none of the categories, as the line cuts them; whole pictures without any of the categories; squares
beside their objects. Two sorts are made by code: textures, and pictures of the categories whose tiles are shuffled,
which have the colours and edges of a category and show none.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.cifar10 import LABELS, OF_COCO, SIDE, TrainingPictures
from stageline.core.errors import BadImage
from stageline.evaluation import reading
from stageline.evaluation.dataset import Label, LabelledPicture, Problems
from stageline.imaging import codec
from stageline.imaging.codec import Pixels

MAX_PIXELS = 50_000_000
PER_OBJECT, PER_PICTURE, BESIDE = 12, 12, 24  # how many are cut of an object, a whole picture, and beside its objects
MADE = 2000  # textures, and as many shuffled pictures
HELD_OUT_EVERY = 4  # every fourth photograph is held out, to calibrate on
Random = np.random.Generator
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Outliers:
    """Pictures to learn from, and others, of other photographs, held out to calibrate on."""

    learn: TrainingPictures
    held_out: TrainingPictures
    photographs: int
    """How many they were cut from."""
    source: str = ""
    """The name of the folder that these were taken from."""


def made_of(folder: Path, pictures: TrainingPictures, seed: int) -> Outliers:
    """Make outliers of the first half of a folder of labelled photographs; see `make`."""
    return replace(make(reading.first_half(folder), pictures, seed), source=folder.resolve().name)


def make(photographs: Sequence[LabelledPicture], pictures: TrainingPictures, seed: int) -> Outliers:
    """Cut and make outliers; the same ones each time.

    Args:
        photographs: labelled by COCO's names.
        pictures: of the categories, to be shuffled; those to learn from.
        seed: of all that is drawn by chance.

    Raises:
        BadImage: a photograph cannot be decoded, or there are none.
    """
    chance = np.random.default_rng(seed)
    learn: list[Pixels] = []
    held_out: list[Pixels] = []
    for number, photograph in enumerate(photographs):
        cut = _of_photograph(photograph, chance)
        (held_out if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else learn).extend(cut)
    if not learn or not held_out:
        raise BadImage(f"outliers are cut from labelled photographs, and {len(photographs)} are too few")
    for _ in range(MADE):
        learn += [_seen(_texture(chance), chance), _shuffled(pictures.pixels[chance.integers(len(pictures))], chance)]
    return Outliers(_pictures(learn), _pictures(held_out), len(photographs))


def _pictures(cut: Sequence[Pixels]) -> TrainingPictures:
    """Return them with the label that comes after the categories'."""
    return TrainingPictures(np.stack(cut), np.full(len(cut), len(LABELS), dtype=np.int64))


def _of_photograph(photograph: LabelledPicture, chance: Random) -> Iterator[Pixels]:
    bgr, info = codec.decode(photograph.path.read_bytes(), MAX_PIXELS)
    rgb = np.ascontiguousarray(bgr[:, :, ::-1])
    labels = photograph.in_pixels(info.width, info.height, Problems())
    known = [label.box for label in labels if label.name in OF_COCO]
    for label in labels:
        if label.name not in OF_COCO:
            yield from _cut(rgb, known, partial(_about, label, chance), PER_OBJECT, chance)
    yield from _cut(rgb, known, partial(_anywhere, rgb, chance), BESIDE, chance)
    if not known:
        yield from (_seen(_most_of(rgb, chance), chance) for _ in range(PER_PICTURE))


def _cut(rgb: Pixels, known: Collection[Box], where: Callable[[], Box], count: int, chance: Random) -> Iterator[Pixels]:
    """Cut squares that show nothing of a category's object."""
    for _ in range(count):
        x1, y1, x2, y2 = (max(0, round(edge)) for edge in where())
        if not any(_meet((x1, y1, x2, y2), box) for box in known):
            crop = rgb[y1:y2, x1:x2]
            if min(crop.shape[:2]) >= SIDE // 2:
                yield _seen(crop, chance)


def _meet(one: Sequence[float], other: Box) -> bool:
    """Return whether two boxes share more than a twentieth of the smaller one."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    least = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return wide > 0 and tall > 0 and wide * tall > 0.05 * least


def _about(label: Label, chance: Random) -> Box:
    """Return a square about an object, about 1.2 times as long as its longer side, as classify_service cuts it."""
    x1, y1, x2, y2 = label.box
    half = max(x2 - x1, y2 - y1) * chance.uniform(0.9, 1.5) / 2
    x, y = ((low + high) / 2 + chance.uniform(-0.15, 0.15) * half for low, high in ((x1, x2), (y1, y2)))
    return x - half, y - half, x + half, y + half


def _anywhere(rgb: Pixels, chance: Random) -> Box:
    height, width = rgb.shape[:2]
    side = min(height, width) * chance.uniform(0.1, 0.9)
    x, y = chance.uniform(0, width - side), chance.uniform(0, height - side)
    return x, y, x + side, y + side


def _most_of(rgb: Pixels, chance: Random) -> Pixels:
    height, width = rgb.shape[:2]
    tall, wide = (round(side * chance.uniform(0.7, 1)) for side in (height, width))
    top, left = (int(chance.integers(0, most + 1)) for most in (height - tall, width - wide))
    return rgb[top : top + tall, left : left + wide]


def _texture(chance: Random) -> Pixels:
    """Return noise of one of many grains, in two or more colours, stripes or blots: [64, 64, 3]."""
    side = 64
    grain = int(chance.choice([2, 4, 8, 16, 32, 64]))
    noise = chance.normal(0, 1, (grain, grain, 1 if chance.random() < 0.5 else 3)).astype(np.float32)  # noqa: PLR2004
    how = cv2.INTER_NEAREST if chance.random() < 0.3 else cv2.INTER_CUBIC  # noqa: PLR2004
    field = np.atleast_3d(cv2.resize(noise, (side, side), interpolation=how))
    if chance.random() < 0.3:  # noqa: PLR2004 - stripes
        across = np.mgrid[:side, :side].astype(np.float32)
        angle, length = chance.uniform(0, np.pi), chance.uniform(3, 30)
        wave = np.sin((across[0] * np.cos(angle) + across[1] * np.sin(angle)) * 2 * np.pi / length)
        field = field * chance.uniform(0, 0.5) + wave[:, :, None]
    colours = chance.uniform(0, 255, (2, 3))
    mixed = colours[0] + (colours[1] - colours[0]) * (0.5 + field * chance.uniform(0.1, 0.6))
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def _shuffled(rgb: Pixels, chance: Random) -> Pixels:
    """Return a picture whose tiles, 2×2 or 4×4 of them, are in another order."""
    tiles = int(chance.choice([2, 4]))
    side = SIDE // tiles
    parts = rgb.reshape(tiles, side, tiles, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    moved = parts[_derangement(len(parts), chance)].reshape(tiles, tiles, side, side, 3)
    return np.ascontiguousarray(moved.swapaxes(1, 2).reshape(SIDE, SIDE, 3), np.uint8)


def _derangement(count: int, chance: Random) -> NDArray[np.int64]:
    """Return an order that leaves nothing in its place."""
    order = np.arange(count)
    while (order == np.arange(count)).any():
        order = chance.permutation(count)
    return order


def _seen(rgb: Pixels, chance: Random) -> Pixels:
    """Return a part of a picture as the network is given it, 32×32, perhaps blurred before or compressed after."""
    if chance.random() < 0.3:  # noqa: PLR2004
        sigma = chance.uniform(0.01, 0.04) * max(rgb.shape[:2])
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)
    small = np.asarray(cv2.resize(np.ascontiguousarray(rgb), (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    if chance.random() < 0.7:  # noqa: PLR2004 - the pictures of the categories are JPEG files
        quality = int(chance.integers(60, 96))
        bgr, _ = codec.decode(codec.encode_jpeg(np.ascontiguousarray(small[:, :, ::-1]), quality), MAX_PIXELS)
        small = np.ascontiguousarray(bgr[:, :, ::-1])
    return np.ascontiguousarray(small[:, ::-1]) if chance.random() < 0.5 else small  # noqa: PLR2004

"""CIFAR-10 (Krizhevsky 2009): 32×32 pictures of ten classes, from a folder of zips of JPEG files, or by torchvision."""

import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stageline.core.errors import BadImage

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
NONE = ("",)  # the label after them that names nothing: "none of these"
OF_COCO = {
    "airplane": "airplane", "bird": "bird", "boat": "ship", "car": "automobile", "cat": "cat", "dog": "dog",
    "horse": "horse", "truck": "truck",
}  # fmt: skip
"""The category of each of COCO's, and so of the detector's, labels; COCO has no deer and no frog."""
HELD_OUT_PER_CLASS = 100
SIDE = 32


@dataclass(frozen=True)
class TrainingPictures:
    """RGB uint8 [n, 32, 32, 3], and for each the index of its label, int64 [n]."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    origin: str = ""
    """Whether they were compressed as JPEG, for reports."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "TrainingPictures":
        """Return some of them."""
        return replace(self, pixels=self.pixels[chosen], labels=self.labels[chosen])

    @property
    def fingerprint(self) -> int:
        """Return a fingerprint: the CRC-32 of the pixels."""
        return zlib.crc32(self.pixels.tobytes())

    def and_(self, others: "TrainingPictures") -> "TrainingPictures":
        """Return these pictures followed by the others."""
        pixels, labels = (self.pixels, others.pixels), (self.labels, others.labels)
        return replace(self, pixels=np.concatenate(pixels), labels=np.concatenate(labels))


def load(folder: Path, split: str) -> TrainingPictures:
    """Read the ``train`` (50,000) or ``test`` (10,000) pictures.

    Where `folder` holds ``<split>.zip`` (``<split>/<class>/<n>.jpg``), those JPEG files are taken; else torchvision
    downloads the original data set into it.

    Raises:
        FileNotFoundError: the zip holds no pictures where they should be, or the download failed.
        BadImage: the zip, or a picture in it, is damaged.
    """
    archive = folder / f"{split}.zip"
    return _from_zip(archive, split) if archive.is_file() else _from_torchvision(folder, split)


def hold_out(pictures: TrainingPictures) -> tuple[TrainingPictures, TrainingPictures]:
    """Split training pictures: those to learn from, and the last 100 of each class, to calibrate on."""
    held = np.concatenate([np.flatnonzero(pictures.labels == n)[-HELD_OUT_PER_CLASS:] for n in range(len(LABELS))])
    learn = np.ones(len(pictures), dtype=bool)
    learn[held] = False
    return pictures.take(learn), pictures.take(held)


def _from_zip(path: Path, split: str) -> TrainingPictures:
    pixels, labels = [], []
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                parts = name.split("/")
                if len(parts) == 3 and parts[0] == split and parts[1] in LABELS and parts[2].endswith(".jpg"):  # noqa: PLR2004
                    pixels.append(_decoded(archive.read(name), f"{path}: {name}"))
                    labels.append(LABELS.index(parts[1]))
    except zipfile.BadZipFile as error:
        raise BadImage(f"{path} is damaged: {error}") from error
    if not pixels:
        raise FileNotFoundError(f"{path} holds no {split}/<class>/<n>.jpg, with the classes {', '.join(LABELS)}")
    return TrainingPictures(np.stack(pixels), np.asarray(labels, dtype=np.int64), "JPEG files")


def _decoded(data: bytes, name: str) -> NDArray[np.uint8]:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if found is None or found.shape != (SIDE, SIDE, 3):
        raise BadImage(f"{name} is no picture of {SIDE}×{SIDE} pixels")
    return np.asarray(found, dtype=np.uint8)


def _from_torchvision(folder: Path, split: str) -> TrainingPictures:
    try:
        from torchvision.datasets import CIFAR10  # noqa: PLC0415 - reading zips needs no torch

        found = CIFAR10(str(folder), train=split == "train", download=True)
    except (ImportError, OSError, RuntimeError) as error:
        sentence = f"{folder} holds no {split}.zip, and torchvision could not download CIFAR-10 into it: {error}"
        raise FileNotFoundError(sentence) from error
    pixels, labels = np.asarray(found.data, dtype=np.uint8), np.asarray(found.targets, dtype=np.int64)
    return TrainingPictures(pixels, labels, "the original pixels")

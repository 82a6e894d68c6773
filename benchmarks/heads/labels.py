"""The heads that were labelled by hand: coco128.json beside this file, which says how."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # [n, 2] of x, y in pixels

LABELS = Path(__file__).with_name("coco128.json")


@dataclass(frozen=True)
class Head:
    """One head, or in a turned picture the turned rectangle around it."""

    corners: Points
    """[4, 2]: top left, top right, bottom right, bottom left of the head."""
    facing: str
    """front, profile or away."""
    traits: frozenset[str] = frozenset()
    """Of: occluded, rotated, dark, blurred."""

    @property
    def height(self) -> float:
        """Pixels from the top of the hair to the chin."""
        return float(np.linalg.norm(self.corners[3] - self.corners[0]))

    @property
    def centre(self) -> Points:
        """[2]: x, y."""
        return np.asarray(self.corners.mean(axis=0))


@dataclass(frozen=True)
class HeadPicture:
    """What is labelled in a picture of width × height pixels."""

    name: str
    width: int
    height: int
    heads: Sequence[Head]
    ignore: Sequence[Points]
    """Corners, [4, 2] each, of places where nothing is counted."""


def read(path: Path = LABELS) -> list[HeadPicture]:
    """Read the labels, in the order of their names."""
    pictures = [_picture(entry) for entry in json.loads(path.read_text())["pictures"]]
    return sorted(pictures, key=lambda picture: picture.name)


def corners(box: Sequence[float]) -> Points:
    """The corners, [4, 2], of a box [x1, y1, x2, y2]: clockwise from the top left."""
    x1, y1, x2, y2 = box
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)


def _picture(entry: dict[str, Any]) -> HeadPicture:
    heads = [Head(corners(h["box"]), h["facing"], frozenset(h.get("traits", ()))) for h in entry["heads"]]
    width, height = entry["size"]
    return HeadPicture(entry["name"], width, height, heads, [corners(box) for box in entry["ignore"]])

"""Faces in real pictures as MTCNN finds them, and faces that lean, for tests."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stageline.core.settings import Settings
from stageline.imaging import codec

Pixels = NDArray[np.uint8]
Points = list[list[float]]
SETTINGS = Settings(device="cpu", inference_precision="float32")
SIDE = (160, 160)


# Faces in the folder faces/, as MTCNN finds them: large, larger, small and level, small and leaning by 14 degrees.
# fmt: off
FACES: list[tuple[str, list[float], Points]] = [
    ("kate_siegel.jpg", [540.0, 106.1, 763.7, 416.7],
     [[599.1, 232.3], [708.1, 235.7], [647.7, 286.3], [599.9, 340.8], [694.7, 343.2]]),
    ("paul_rudd.jpg", [249.1, 279.4, 1332.6, 1790.6],
     [[531.2, 899.7], [1042.7, 895.5], [795.3, 1231.2], [597.3, 1452.2], [1010.1, 1447.3]]),
    ("multiface.jpg", [621.0, 197.1, 695.4, 297.1],
     [[640.0, 237.9], [676.7, 238.6], [656.5, 260.8], [639.7, 269.9], [676.6, 270.7]]),
    ("multiface.jpg", [226.3, 251.1, 302.8, 353.9],
     [[245.9, 294.5], [281.7, 285.8], [270.3, 315.6], [254.1, 328.2], [291.5, 319.1]]),
]
# fmt: on


def read(folder: Path, name: str) -> Pixels:
    """A picture of the folder faces/, BGR, uint8 [h, w, 3]."""
    return codec.decode((folder / "faces" / name).read_bytes(), 50_000_000)[0]


def leaning(points: Points, angle: float, centre: tuple[float, float]) -> Points:
    """The points, turned clockwise, as a picture is seen, about the centre."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return ((np.array(points) - centre) @ turn.T + centre).tolist()

"""Pictures, archives and the committed networks, for tests of training; ``pytest_plugins`` takes the fixture."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.training import trained
from stageline.registry.card import CARD, ModelFiles

COMMITTED = sorted(trained.TRAINED.glob(f"*/*/{CARD}"))


@pytest.fixture(params=COMMITTED, ids=lambda path: f"{path.parent.parent.name}@{path.parent.name}")
def committed(request: pytest.FixtureRequest) -> ModelFiles:
    """Give each model of models/trained."""
    folder = request.param.parent
    return trained.find(f"{folder.parent.name}@{folder.name}")


def jpeg(size: int = 32) -> bytes:
    """A blue picture."""
    return cv2.imencode(".jpg", np.full((size, size, 3), (255, 0, 0), np.uint8))[1].tobytes()  # blue, in BGR


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    """Write an archive of these files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)

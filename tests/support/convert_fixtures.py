"""Torch's networks with random weights of the published shapes, installed as the published ones: fixtures to share.

Name this module in ``pytest_plugins``.
"""

import hashlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detect_service.detectors import load_faces
from stageline.core.settings import Settings
from stageline.inference import FloatArray
from stageline.registry.card import ModelFiles
from stageline.registry.install import install, manifest
from stageline.registry.repository import open_repository
from tests.support.places import missing


@pytest.fixture
def torch() -> Any:
    """Torch on one core, with a fixed seed."""
    try:
        found = import_module("torch")
        import_module("torchvision")
        import_module("facenet_pytorch")
    except ImportError as error:
        missing(f"{error}: the converters of torch's networks need it (`make test TRAIN=1`)")
    found.set_num_threads(1)
    found.manual_seed(0)
    return found


@pytest.fixture
def install_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], ModelFiles]:
    """Install a model of the manifest from other weights than the published ones, with their size and sha256."""
    module = import_module("stageline.registry.install")

    def from_bytes(name: str, weights: bytes) -> ModelFiles:
        entry = manifest()[name]
        mirror = tmp_path / "mirror"
        mirror.mkdir(exist_ok=True)
        (mirror / entry["addresses"][0].rpartition("/")[2]).write_bytes(weights)
        changed = {**entry, "bytes": len(weights), "sha256": [hashlib.sha256(weights).hexdigest()]}
        monkeypatch.setattr(module, "manifest", lambda: {name: changed})
        settings = Settings(stageline_data=tmp_path / "data", stageline_model_mirror=str(mirror))
        repository = open_repository(settings)
        repository.check()
        return repository.load(name, install(name, repository, settings).version)

    return from_bytes


@pytest.fixture
def faces(data_dir: Path, models_dir: Path) -> FloatArray:
    """Real faces, RGB 0..255, float32 [n, 3, 160, 160]."""
    repository = open_repository(Settings(models_dir=models_dir))
    detector = load_faces(repository.load("mtcnn", "1"), Settings())
    crops = []
    for path in sorted((data_dir / "faces").iterdir()):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert picture is not None
        for face in detector.detect(picture.astype(np.uint8)):
            x1, y1, x2, y2 = (max(0, round(edge)) for edge in face.box)
            crops.append(cv2.resize(picture[y1:y2, x1:x2, ::-1], (160, 160), interpolation=cv2.INTER_AREA))
    return np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2), np.float32)

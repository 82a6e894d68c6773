"""The measurement of named categories: each way of naming is judged by the same labels."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.categories import _found, enlarged, read_model
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.evaluation.dataset import Label
from stageline.registry.card import CARD, ModelFiles, written
from tests.support.category_cases import LEFT, MAPPED, SETTINGS
from tests.support.classify_helpers import found
from tests.support.picture_makers import encoded
from tests.support.tiny_models import colours


def test_found_are_the_labelled_objects_of_a_category_that_a_detection_overlaps() -> None:
    """Whatever it calls them; crowds and other classes do not count."""
    labels = [
        Label("apple", (0, 0, 100, 100)), Label("apple", (100, 0, 200, 100)), Label("pizza", (0, 0, 100, 100)),
        Label("apple", (0, 0, 100, 100), crowd=True),
    ]  # fmt: skip
    assert _found([found(LEFT)], labels, MAPPED) == 1
    assert _found([], labels, MAPPED) == 0


def test_cifar10s_own_pictures_are_enlarged_and_judged_by_their_folders(tmp_path: Path) -> None:
    """Every second of two cats and two ships."""
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        for name in ("cat/0", "cat/1", "ship/2", "ship/3"):
            archive.writestr(f"test/{name}.jpg", encoded(Image.new("RGB", (32, 32), "blue"), "JPEG"))
    shown = list(enlarged(tmp_path, 2))
    assert [[label.name for label in labels] for _, labels, _ in shown] == [["cat"], ["ship"]]
    assert all(mapping[labels[0].name] == labels[0].name for _, labels, mapping in shown)


def test_a_model_is_read_from_its_folder_or_the_store(tmp_path: Path) -> None:
    """A folder with a card, or a name; an unknown name is a sentence."""
    model: ModelFiles = colours()
    (tmp_path / CARD).write_bytes(written(model.card))
    (tmp_path / "model.onnx").write_bytes(model.network)
    assert read_model(str(tmp_path), SETTINGS) == model
    with pytest.raises(ModelError, match="no model is called 'nobody'"):
        read_model("nobody", Settings(models_dir=tmp_path / "models"))

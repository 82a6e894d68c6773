"""The measurement of named categories: each way of naming is judged by the same labels."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.categories import ALONE, BOTH, DETECTOR, TEN, TRUSTED, _found, enlarged, read_model, ways
from classify_service.categories import load_classifier
from classify_service.naming import Rule
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.evaluation.dataset import Label
from stageline.registry.card import CARD, ModelFiles, written
from stageline.registry.serving import Loaded
from tests.classify_helpers import SCALE, found
from tests.picture_makers import encoded
from tests.tiny_models import colours

SETTINGS = Settings(device="cpu")
RULE = Rule(min_confidence=0.8, trusted_score=0.5)
LEFT, RIGHT = [0.0, 0.0, 100.0, 100.0], [100.0, 0.0, 200.0, 100.0]
MAPPED = {"apple": "red", "broccoli": "green"}


def loaded(**more: Any) -> Loaded[Any]:
    """A colour classifier whose card maps two of the detector's labels."""
    model = colours(scale=SCALE, detector_labels=MAPPED, **more)
    return Loaded(model.card, load_classifier(model, SETTINGS))


def named(by: Loaded[Any], kind: str = "object") -> dict[str, list[tuple[str, Any]]]:
    """What each way names in a picture that is red and lime: a surely found apple, a broccoli at 0.4, a pizza."""
    picture = Image.new("RGB", (200, 100), "lime")
    picture.paste("red", (0, 0, 100, 100))
    detections = [found(LEFT, 0.9, label="apple"), found(RIGHT, 0.4, label="broccoli"), found(LEFT, 0.6, label="pizza")]
    fields = {"detections": detections, "kind": kind}
    said = ways(by, encoded(picture, "PNG"), fields, RULE, 1_000_000)
    return {way: [(item["category"], item["box"]) for item in items] for way, items in said.items()}


def test_each_way_names_what_it_would_name() -> None:
    """The detector all that is mapped, or what is trusted; the classifier all; the rule what both say."""
    found_by = named(loaded())
    assert found_by[DETECTOR] == [("red", LEFT), ("green", RIGHT), ("red", None)]
    assert found_by[TRUSTED] == [("red", LEFT), ("red", None)]
    objects = {way: [item for item in items if item[1]] for way, items in found_by.items()}
    assert objects[ALONE] == [("red", LEFT), ("green", RIGHT), ("red", LEFT)]
    assert objects[BOTH] == [("red", LEFT), ("green", RIGHT)]
    assert TEN not in found_by
    assert all(box for _, box in named(loaded(), kind="face")[BOTH])


def test_a_network_that_can_say_none_is_judged_without_it_too() -> None:
    """Where blue means none of these, red is red by either; what is none of them is named only without that answer."""
    found_by = named(loaded(labels=["red", "green", ""]))
    assert found_by[TEN] == found_by[BOTH]
    blue = encoded(Image.new("RGB", (200, 100), (60, 0, 255)), "PNG")
    fields: dict[str, Any] = {"detections": [found(LEFT, 0.4, label="apple")], "kind": "object"}
    said = ways(loaded(labels=["red", "green", ""]), blue, fields, RULE, 1_000_000)
    assert (said[BOTH], [item["category"] for item in said[TEN]]) == ([], ["red", "red"])


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
    """A folder with a card, or a name; a name that nobody knows is a sentence."""
    model: ModelFiles = colours()
    (tmp_path / CARD).write_bytes(written(model.card))
    (tmp_path / "model.onnx").write_bytes(model.network)
    assert read_model(str(tmp_path), SETTINGS) == model
    with pytest.raises(ModelError, match="no model is called 'nobody'"):
        read_model("nobody", Settings(models_dir=tmp_path / "models"))

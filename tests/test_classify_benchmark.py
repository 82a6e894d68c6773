"""The measurement of categories by the least confidence: it counts what it says."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.categories import Row, Seen, measure, read_model, row
from stageline.errors import ModelError
from stageline.modelstore import Model, made_of
from stageline.modelstore.card import CARD, written
from stageline.settings import Settings
from tests.picture_makers import encoded
from tests.tiny_models import card, colour_network

SETTINGS = Settings(device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures with their labels: a red car and a lime dog in one; a blue cat; a lime pizza."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    (tmp_path / "names.yaml").write_text("names:\n  2: car\n  15: cat\n  16: dog\n  53: pizza\n")
    both = Image.new("RGB", (200, 100), "lime")
    both.paste("red", (0, 0, 100, 100))
    both.save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("2 0.25 0.5 0.4 0.8\n16 0.75 0.5 0.05 0.8\n")
    Image.new("RGB", (60, 60), "blue").save(tmp_path / "images" / "b.png")
    (tmp_path / "labels" / "b.txt").write_text("15 0.5 0.5 1 1\n")
    Image.new("RGB", (60, 60), "lime").save(tmp_path / "images" / "c.png")
    (tmp_path / "labels" / "c.txt").write_text("53 0.5 0.5 1 1\n")
    return tmp_path


def caller(*labels: str) -> Model:
    """A classifier that calls red, lime and blue so."""
    return made_of(card(labels=list(labels)), {"model.onnx": colour_network(0.01)})


def test_a_threshold_counts_what_it_lets_through() -> None:
    """Named is what is as sure as asked for; right, of it, what is; the share is of all that are named."""
    seen = [Seen(known, right, sure) for known, right, sure in (
        (True, True, 0.9), (True, True, 0.5), (True, False, 0.8), (False, False, 0.8), (False, False, 0.3),
    )]  # fmt: skip
    assert row(seen, 0.8) == Row(0.8, known=3, known_named=2, right=1, others=2, others_named=1)
    assert row(seen, 0.8).share_right == pytest.approx(1 / 3)
    assert row(seen, 0.0) == Row(0.0, 3, 3, 2, 2, 2)
    assert row([], 0.5).share_right == 0.0


def test_crops_and_pictures_are_judged_by_their_labels(folder: Path) -> None:
    """A car is an automobile, a crop is judged by its own label, a picture by any; a pizza is none of the ten."""
    found = measure(folder, caller("automobile", "dog", "cat"), SETTINGS)
    assert found["crops"][0] == Row(0.0, known=3, known_named=3, right=3, others=1, others_named=1)
    assert found["whole pictures"][0] == Row(0.0, known=2, known_named=2, right=2, others=1, others_named=1)
    last = found["crops"][-1]  # of a plain colour the softmax of 2.55, 0, 0 is 0.865
    assert (last.least, last.known_named, last.others_named) == (0.99, 0, 0)
    found = measure(folder, caller("dog", "truck", "cat"), SETTINGS)
    assert (found["crops"][0].right, found["whole pictures"][0].right) == (1, 2)


def test_small_crops_can_be_left_out(folder: Path) -> None:
    """The dog's box is ten pixels wide."""
    found = measure(folder, caller("automobile", "dog", "cat"), SETTINGS, least_side=11)
    assert found["crops"][0] == Row(0.0, 2, 2, 2, 1, 1)
    assert found["whole pictures"][0].known == 2


def test_cifar10s_own_pictures_are_judged_by_their_folders(folder: Path, tmp_path: Path) -> None:
    """Every second of two cats and two ships, each of which is blue: one of the two that are looked at is a cat."""
    with zipfile.ZipFile(tmp_path / "test.zip", "w") as archive:
        for name in ("cat/0", "cat/1", "ship/2", "ship/3"):
            archive.writestr(f"test/{name}.jpg", encoded(Image.new("RGB", (32, 32), "blue"), "JPEG"))
    found = measure(folder, caller("frog", "dog", "cat"), SETTINGS, cifar10_every=(tmp_path, 2))
    assert found["CIFAR-10's test pictures"][0] == Row(0.0, known=2, known_named=2, right=1, others=0, others_named=0)


def test_a_model_is_read_from_its_folder_or_the_store(tmp_path: Path) -> None:
    """A folder with a card, or a name; a name that nobody knows is a sentence."""
    model = caller("frog", "dog", "cat")
    (tmp_path / CARD).write_bytes(written(model.card))
    (tmp_path / "model.onnx").write_bytes(model.network)
    assert read_model(str(tmp_path), SETTINGS) == model
    with pytest.raises(ModelError, match="no model is called 'nobody'"):
        read_model("nobody", Settings(models_dir=tmp_path / "models"))

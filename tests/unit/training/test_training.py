"""Training, as far as it needs no torch: recipes, pictures, calibration, and the networks that are committed."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import classifiers
from models.training import calibration, cifar10, recipe, report, trained
from models.training.cifar10 import LABELS, NONE, TrainingPictures
from models.training.trained import MeasuredNetwork
from stageline.core.errors import BadImage, ModelError
from stageline.inference import Options, open_network
from stageline.registry.card import CARD, NETWORK, ModelFiles, read_card
from tests.support.training_cases import COMMITTED, jpeg, write_zip

pytest_plugins = ("tests.support.training_cases",)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", recipe.names())
def test_a_recipe_is_sane(name: str, device: str) -> None:
    """It ends at the pictures' own size, each of its sizes is used, and its learning rate begins and ends at 0."""
    found = recipe.load(name, device)
    sizes = [found.size(epoch) for epoch in range(found.epochs)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == cifar10.SIDE
    assert set(sizes) == {side for _, side in found.sizes}
    times, rates = zip(*found.learning_rate, strict=True)
    assert list(times) == sorted(times)
    assert (times[0], times[-1]) == (0, found.epochs)
    assert [found.lr(at) for at in times] == list(rates)
    assert found.lr(0) == found.lr(found.epochs) == 0
    assert found.lr((times[0] + times[1]) / 2) == pytest.approx(rates[1] / 2)
    assert (0 <= found.shift < cifar10.SIDE) & (0 <= found.cutout < cifar10.SIDE)
    assert bool(found.teacher) == (0 < found.teacher_share <= 1)


def test_a_recipe_is_known_by_what_decides_the_weights() -> None:
    """Another title leaves a checkpoint valid; another length does not."""
    found = recipe.load("resnet18-cifar10", "cpu")
    assert "title" not in found.decisive()
    assert recipe.load("resnet18-cifar10", "cpu", epochs=2).decisive() != found.decisive()


def test_pictures_are_read_from_a_zip_of_jpeg_files(tmp_path: Path) -> None:
    """RGB, with the label of the folder; what is no picture of the split is passed over."""
    names = ["test/frog/1.jpg", "test/ship/2.jpg", "train/cat/3.jpg", "test/unicorn/4.jpg", "test/readme.txt"]
    write_zip(tmp_path / "test.zip", dict.fromkeys(names, jpeg()))
    found = cifar10.load(tmp_path, "test")
    assert found.labels.tolist() == [LABELS.index("frog"), LABELS.index("ship")]
    assert found.pixels.shape == (2, 32, 32, 3)
    assert found.pixels[0, 0, 0].tolist() == pytest.approx([0, 0, 255], abs=2)


def test_a_zip_without_pictures_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """The sentence says what should be in it."""
    write_zip(tmp_path / "train.zip", {"cat.jpg": jpeg()})
    with pytest.raises(FileNotFoundError, match=r"train\.zip holds no train/<class>/<n>\.jpg, with the classes"):
        cifar10.load(tmp_path, "train")


@pytest.mark.parametrize("data", [b"", b"no picture", jpeg(33)], ids=["empty", "text", "33 px"])
def test_a_damaged_picture_is_named(tmp_path: Path, data: bytes) -> None:
    """The sentence names the archive and the file in it."""
    write_zip(tmp_path / "train.zip", {"train/cat/7.jpg": data})
    with pytest.raises(BadImage, match=r"train\.zip: train/cat/7\.jpg is no picture of 32×32"):
        cifar10.load(tmp_path, "train")


def test_a_damaged_zip_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """A download that broke off is no traceback."""
    (tmp_path / "train.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(BadImage, match=r"train\.zip is damaged"):
        cifar10.load(tmp_path, "train")


def test_what_is_held_out_is_balanced_and_not_learnt() -> None:
    """100 of each class are held out; together the two parts are everything, once."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 150))
    pixels = np.arange(1500, dtype=np.uint16).view(np.uint8).reshape(1500, 1, 1, 2)  # each picture is its own number
    learn, held_out = cifar10.hold_out(TrainingPictures(pixels, labels))
    assert np.bincount(held_out.labels).tolist() == [100] * 10
    numbers = np.concatenate([part.pixels.copy().view(np.uint16).ravel() for part in (learn, held_out)])
    assert sorted(numbers) == list(range(1500))
    assert (labels[numbers[len(learn) :]] == held_out.labels).all()


def test_the_temperature_is_the_one_that_confidences_were_raised_by() -> None:
    """Labels drawn from softmax(z) and logits of 3z: T is 3, and it mends likelihood and calibration."""
    chance = np.random.default_rng(1)
    true = chance.normal(size=(20_000, 10)).astype(np.float32) * 1.5
    labels = (calibration.softmax(true).cumsum(axis=1) < chance.random((20_000, 1))).sum(axis=1).clip(0, 9)
    raised = 3 * true
    temperature = calibration.temperature(raised, labels)
    assert temperature == pytest.approx(3, rel=0.03)
    best = calibration.negative_log_likelihood(raised / temperature, labels)
    for other in (temperature * 0.98, temperature * 1.02, 1.0):
        assert best < calibration.negative_log_likelihood(raised / other, labels)
    assert calibration.expected_calibration_error(raised, labels) > 0.1
    assert calibration.expected_calibration_error(raised / temperature, labels) < 0.02


def test_pictures_count_in_the_temperature_as_their_weights_say() -> None:
    """A weight of 2 is the picture twice, and one of 0 is none of it."""
    raised = np.random.default_rng(0).normal(0, 5, (60, 10)).astype(np.float32)
    labels = np.arange(60) % 10
    twice = calibration.temperature(
        np.concatenate([raised[:40], raised[:20]]), np.concatenate([labels[:40], labels[:20]])
    )
    weights = np.repeat([2.0, 1.0, 0.0], 20).astype(np.float32)
    assert calibration.temperature(raised, labels, weights) == pytest.approx(twice)


def test_the_calibration_error_is_that_of_the_definition() -> None:
    """Four pictures at 0.6, one right, and one at 0.9, right: 4/5 × 0.35 + 1/5 × 0.1."""
    logits = np.log(np.array([[0.6, 0.4]] * 4 + [[0.1, 0.9]], dtype=np.float32))
    labels = np.array([0, 1, 1, 1, 1])
    assert calibration.expected_calibration_error(logits, labels) == pytest.approx(0.8 * 0.35 + 0.2 * 0.1, abs=1e-6)


def test_the_report_shows_who_was_taken_for_whom() -> None:
    """Rows are what a picture is; the page names the likeliest mistake, and the picture is a PNG that can be read."""
    labels = np.repeat(np.arange(10), 4)
    taken = labels.copy()
    taken[12:14] = 5  # two of the four cats for dogs
    measured = MeasuredNetwork(np.eye(10, dtype=np.float32)[taken] * 5, labels, seconds=0.4)
    assert measured.confusion[3, [3, 5]].tolist() == [2, 2]
    assert (measured.accuracy, measured.milliseconds) == (0.95, pytest.approx(10))
    history = [{"loss": 1.5, "held_out_accuracy": 0.5}]
    found = report.ReportFigures("A title", "Trained.", history, 2.0, 1e-5, 30, 22_000_000, "here", measured)
    page = report.page(found)
    for row in ("| accuracy | 95.00% |", "| cat | 50.0% | dog, 2 times |", "| 1 | 1.5000 | 50.00% |", "22.0 MB"):
        assert row in page
    picture = Image.open(io.BytesIO(report.confusion_picture(measured.confusion, "A title")))
    assert picture.format == "PNG"
    assert min(picture.size) > 800


def test_versions_count_upwards(tmp_path: Path) -> None:
    """A version never changes: the next one is free."""
    assert trained.next_version("a", tmp_path) == "1"
    for name in ("a/2", "a/10", "a/old", "b/11"):
        (tmp_path / name).mkdir(parents=True)
    assert trained.next_version("a", tmp_path) == "11"
    with pytest.raises(ModelError, match=r"train it first, python -m models\.training a"):
        trained.find("a@2", tmp_path)


def test_both_networks_are_committed() -> None:
    """A fresh machine classifies without any download: each recipe has its network."""
    assert {path.parent.parent.name for path in COMMITTED} == set(recipe.names())


def test_a_committed_card_is_that_of_its_file(committed: ModelFiles) -> None:
    """The card validates as the store reads it, its hash is the file's, the file is small and takes what it says."""
    card, folder = committed.card, trained.TRAINED / committed.card.name / committed.card.version
    assert read_card((folder / CARD).read_bytes(), card.name, card.version) == card
    assert json.loads((folder / CARD).read_text())["sha256"] == hashlib.sha256(committed.network).hexdigest()
    assert (folder / NETWORK).stat().st_size < 30_000_000
    assert card.labels in (LABELS, (*LABELS, *NONE))  # a version knows "none of these", or does not
    assert "CPU" in card.notes or "GPU" in card.notes
    assert "CIFAR-10" in card.training_data
    network = open_network(committed.network, card.name, Options("cpu", 1, "float32"))
    for batch in (1, 3):
        (logits,) = network.run(np.zeros((batch, *card.input.shape[1:]), np.float32))
        assert logits.shape == (batch, len(card.labels))
    with Image.open(folder / "confusion.png") as picture:
        picture.load()
    assert f"| accuracy | {classifiers.stated_accuracy(committed):.2%} |" in (folder / "report.md").read_text()


def test_a_shorter_run_begins_with_outliers_earlier() -> None:
    """Else a run of `--epochs 3` would see none, and its card would say that it did."""
    whole = recipe.load("resnet18-cifar10", "cpu")
    short = recipe.load("resnet18-cifar10", "cpu", 3)
    assert 0 < whole.outliers_from < whole.epochs
    assert short.outliers_from == int(3 * whole.outliers_from / whole.epochs) < 3


def test_a_threshold_is_the_least_confidence_from_which_enough_is_right() -> None:
    """Of pictures that are named, outliers among them; what is taken for none is not named."""
    confidences, right = [0.9, 0.8, 0.7, 0.6], [True, True, False, True]
    rows = [[sure, (1 - sure) / 2, (1 - sure) / 2] for sure in confidences] + [[0.05, 0.05, 0.9]]
    labels = np.array([0 if good else 2 for good in right] + [0])
    logits = np.log(np.array(rows, dtype=np.float32))
    assert calibration.least_confidence(logits, labels, 2, 1.0) == pytest.approx(0.8)
    assert calibration.least_confidence(logits, labels, 2, 0.75) == pytest.approx(0.6)
    assert calibration.least_confidence(logits, np.full(5, 1), 2, 0.5) == 1.0

"""Training, as far as it needs no torch: recipes, pictures, calibration, and the networks that are committed."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import classifiers
from models.training import cifar10
from models.training.cifar10 import TrainingPictures
from stageline.inference import Options
from stageline.registry.card import CARD, NETWORK, ModelFiles, written
from tests.support.places import missing
from tests.support.tiny_models import colours
from tests.support.training_cases import jpeg, write_zip

pytest_plugins = ("tests.support.training_cases",)


@pytest.fixture(scope="session")
def pictures(data_dir: Path) -> TrainingPictures:
    """Give CIFAR-10's test pictures."""
    if not (data_dir / "cifar10" / "test.zip").is_file():
        missing(f"no {data_dir}/cifar10/test.zip")
    return cifar10.load(data_dir / "cifar10", "test")


def test_a_committed_network_is_as_good_as_its_card_says(committed: ModelFiles, pictures: TrainingPictures) -> None:
    """On every fifth test picture, 200 of each class: three standard deviations of such a sample are 1.6 points."""
    sample = pictures.take(np.arange(0, len(pictures), 5))
    assert np.bincount(sample.labels).tolist() == [200] * 10
    row = classifiers.measure(committed, sample, Options("cpu", 1, "auto"))
    assert row["accuracy"] == pytest.approx(classifiers.stated_accuracy(committed), abs=0.016)
    assert row["ece"] < 0.03
    assert 0.85 < classifiers.stated_accuracy(committed) <= 1


def test_the_benchmark_fails_where_a_card_claims_too_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints what it measured beside what the card states, and says in its exit status whether that is so."""
    write_zip(tmp_path / "test.zip", {"test/bird/1.jpg": jpeg(), "test/cat/2.jpg": jpeg()})  # blue: the third label
    command = [str(tmp_path), "--models", str(tmp_path / "models")]
    assert classifiers.main(command) == 2
    assert "holds no models" in capsys.readouterr().err
    for stated, status in ((0.5, 0), (0.6, 1)):
        figure = {"metric": "accuracy", "value": stated, "data": "two pictures", "command": "this"}
        model, folder = colours(accuracy=[figure]), tmp_path / "models" / "colours" / "1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CARD).write_bytes(written(model.card))
        (folder / NETWORK).write_bytes(model.network)
        assert classifiers.main(command) == status
        printed = capsys.readouterr()
        assert f"50.00%     {stated:.2%}" in printed.out
        assert ("not what the card says: colours@1" in printed.err) == bool(status)
    assert classifiers.main([*command, "--device", "cuda:7"]) == 2

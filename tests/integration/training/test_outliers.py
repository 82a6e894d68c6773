"""Training with outliers, at a tiny scale, with torch: a network that can say "none of these"."""

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.training import calibration, teacher, trained
from models.training.cifar10 import LABELS, TrainingPictures
from models.training.outliers import Outliers
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.inference import FloatArray, Options, open_network
from stageline.pipeline import line
from stageline.registry import validation
from tests.support.tiny_training import one_thread, some, tiny

__all__ = ["one_thread"]
pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_run_with_outliers_gives_a_network_that_can_say_none(tmp_path: Path) -> None:
    """Its last label is empty, learnt and calibrated on outliers, held out ones too; the card and the report say so."""
    from models.training.finish import Pieces, finish
    from models.training.train import train

    found = tiny("resnet18-cifar10", epochs=2, batch_size=4, outlier_share=0.5, outliers_from=1, sizes=[(0, 8)])
    black = TrainingPictures(np.zeros((40, 32, 32, 3), np.uint8), np.full(40, len(LABELS)))
    pieces = Pieces(some(16), some(20, 1), some(30, 2), Outliers(black, black.take(np.arange(8)), 4, "streets"))
    assert len(pieces.calibrating) == 20 + 8
    assert pieces.weights(0.5)[[0, 19, 20]].tolist() == [1, 1, 0.5 * 20 / 8]
    run = train(found, pieces.learn, pieces.held_out, tmp_path / "run", "cpu", black)
    model = finish(run, found, pieces, "cpu", tmp_path / found.name / "1")
    assert model.card.labels == (*LABELS, "")
    assert "cut from 4 of the photographs in streets" in model.card.training_data
    assert "fitted on 20 training pictures that were held out and 8 outliers" in model.card.notes
    assert "40 outliers" in model.card.notes
    assert "of 8 outliers that were held out, taken for none" in (tmp_path / found.name / "1" / "report.md").read_text()
    assert validation.load(model, Settings(device="cpu"), line.model_loaders()).best(np.eye(11)[10], 1) == [("", 1.0)]


def test_a_run_goes_on_with_the_outliers_of_before_only(tmp_path: Path) -> None:
    """Another folder's would give other weights than the card says."""
    from models.training.train import train

    found = tiny(epochs=1, batch_size=4, outlier_share=0.5, sizes=[(0, 8)])
    black, white = (
        TrainingPictures(np.full((8, 32, 32, 3), level, np.uint8), np.full(8, len(LABELS))) for level in (0, 255)
    )
    train(found, some(16), some(10), tmp_path, "cpu", black)
    with pytest.raises(ModelError, match="learnt from other outliers: give the --outliers of before"):
        train(found, some(16), some(10), tmp_path, "cpu", white)


def test_a_teacher_is_not_asked_what_an_outlier_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may know ten things only; and one that can say none teaches no pupil that cannot."""
    from models.training.train import _targets

    asked = []

    def said(_reference: str, pictures: TrainingPictures, *_: object) -> FloatArray:
        asked.append(len(pictures))
        return np.full((len(pictures), 10), 0.1, np.float32)

    monkeypatch.setattr(teacher, "probabilities", said)
    none = TrainingPictures(np.zeros((8, 32, 32, 3), np.uint8), np.full(8, len(LABELS)))
    found = tiny(teacher="resnet18-cifar10@1", teacher_share=0.5, outlier_share=0.5)
    targets = _targets(found, some(16), tmp_path, none).numpy()
    assert asked == [16]
    assert np.array_equal(targets[16:], np.eye(11)[[10] * 8])
    assert targets[:16].sum(axis=1) == pytest.approx(1)
    monkeypatch.setattr(teacher, "probabilities", lambda *_: np.full((16, 11), 1 / 11, np.float32))
    with pytest.raises(ModelError, match="give its pupil an outlier_share"):
        _targets(tiny(teacher="resnet18-cifar10@2", teacher_share=0.5), some(16), tmp_path)


def test_a_teacher_is_asked_about_each_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the pupil sees it; what an outlier is is learnt from its label alone, whatever the teacher says."""
    import torch

    from models.training.train import _with_teacher, train

    seen: list[Any] = []

    def by_batch(reference: str, device: str) -> Any:
        assert (reference, device) == ("resnet18-cifar10@1", "cpu")

        def ask(batch: Any) -> Any:
            seen.append(batch.shape)
            return torch.full((len(batch), 10), 0.1)

        return ask

    monkeypatch.setattr(teacher, "by_batch", by_batch)
    more: dict[str, Any] = {
        "teacher": "resnet18-cifar10@1",
        "teacher_share": 0.5,
        "teacher_sees": "batches",
        "outlier_share": 0.5,
    }
    none = TrainingPictures(np.zeros((8, 32, 32, 3), np.uint8), np.full(8, len(LABELS)))
    train(tiny(**more, cutmix=0.5), some(16), some(10), tmp_path, "cpu", none)
    assert seen[0] == (8, 3, 8, 8)
    wanted = _with_teacher(torch.tensor([3, 10]), torch.full((2, 10), 0.1), tiny(**more))
    assert wanted[0, 3] == pytest.approx(0.55)
    assert wanted[1].tolist() == [0] * 10 + [1]
    of_ten = tiny(**more | {"teacher": "resnet18-cifar10@2", "outlier_share": 0.0})
    with pytest.raises(ModelError, match="give its pupil an outlier_share"):
        train(of_ten, some(16), some(10), tmp_path / "2", "cpu")


def test_the_teacher_says_the_same_of_a_batch() -> None:
    """On torch, in the batches, as it does on the runtime that serves it."""
    import torch

    pixels = some(6)
    served = trained.find("resnet18-cifar10@2")
    network = open_network(served.network, "teacher", Options(threads=1, precision="float32"))
    expected = calibration.softmax(trained.measure(network, pixels).logits)
    batch = torch.from_numpy(pixels.pixels).permute(0, 3, 1, 2).float()
    assert teacher.by_batch("resnet18-cifar10@2", "cpu")(batch).numpy() == pytest.approx(expected, abs=1e-4)


def test_a_recipe_with_outliers_wants_photographs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what to give."""
    from models.training.__main__ import main

    for split in ("train", "test"):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            archive.writestr(f"{split}/cat/0.jpg", cv2.imencode(".jpg", some(1).pixels[0])[1].tobytes())
    assert main(["resnet18-cifar10", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "give them by --outliers COCO_FOLDER" in capsys.readouterr().err

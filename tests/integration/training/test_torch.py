"""Training, at a tiny scale, with torch: resuming, folding, export, and the command as a whole."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from models.training import calibration, cifar10, recipe, teacher, trained
from models.training.cifar10 import LABELS
from models.training.recipe import Recipe
from stageline.core.errors import ModelError
from stageline.inference import Options, open_network
from stageline.registry.card import read_folder
from tests.support.tiny_training import one_thread, some, tiny

__all__ = ["one_thread"]
pytestmark = pytest.mark.usefixtures("one_thread")
NAMES = ["resnet18-cifar10", "squeezenet-cifar10"]


def network(name: str, seed: int = 0) -> Any:
    """Return a network in eval mode, whose batch normalisation is not the identity."""
    import torch

    from models.training import networks
    from models.training.train import Normalised

    torch.manual_seed(seed)
    model = Normalised(networks.build(recipe.load(name, "cpu").architecture, len(LABELS)))
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for values in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                values.uniform_(0.5, 1.5)
        elif getattr(layer, "bias", None) is not None:
            layer.bias.data.uniform_(-20, 20)
    return model.eval()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_exported_is_what_was_trained(name: str) -> None:
    """Folding, temperature, float16 and ONNX: the file's logits are torch's, for any batch, and hold no batch norm."""
    import torch

    from models.training import export

    model, pictures = network(name), some(6)
    served = export.prepare(model, 2.0)
    data = export.to_onnx(served)
    assert export.largest_difference(open_network(data, "made", Options("cpu", 1, "float32")), served, pictures) < 1e-3
    batch = torch.from_numpy(pictures.pixels).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        trained_logits = model(batch)
        assert (served(batch) * 2 - trained_logits).abs().max() <= 0.01 * trained_logits.abs().max()
    assert "BatchNormalization" not in {node.op_type for node in onnx.load_from_string(data).graph.node}
    parameters = sum(weight.numel() for weight in model.parameters())
    assert len(data) < 2.1 * parameters + 60_000  # two bytes each


@pytest.mark.parametrize("name", NAMES)
def test_folding_changes_nothing(name: str) -> None:
    """Batch normalisation multiplied into the convolutions gives the logits of before, up to rounding."""
    import torch

    from models.training import networks

    model, batch = network(name).double(), torch.rand(3, 3, 32, 32, dtype=torch.float64) * 255
    with torch.inference_mode():
        before = model(batch)
        after = networks.fold_batch_norm(model)(batch)
    assert not [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert torch.allclose(before, after, rtol=1e-9, atol=1e-9)


def test_an_export_that_differs_is_refused() -> None:
    """The check that stands between a run and its card sees another network's file."""
    from models.training import export

    name = "squeezenet-cifar10"
    data = export.to_onnx(export.prepare(network(name, seed=1), 1.0))
    other = open_network(data, "other", Options("cpu", 1, "float32"))
    with pytest.raises(ModelError, match="the export differs from torch: logits by"):
        export.largest_difference(other, export.prepare(network(name), 1.0), some(6))


def test_weights_that_float16_cannot_hold_are_refused() -> None:
    """Rather than served as infinity."""
    from models.training import export

    model = network("squeezenet-cifar10")
    next(model.parameters()).data.fill_(1e6)
    with pytest.raises(ModelError, match="float16 cannot hold"):
        export.prepare(model, 1.0)


def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in its second epoch and started again: the same weights, bit by bit, and the same history."""
    import torch

    from models.training import augment
    from models.training.train import train

    found, whole_batches = tiny(), augment.batches

    def broken(pixels: Any, labels: Any, given: Recipe, epoch: int, outliers: int) -> Iterator[Any]:
        for number, batch in enumerate(whole_batches(pixels, labels, given, epoch, outliers)):
            if (epoch, number) == (1, 1):
                raise KeyboardInterrupt
            yield batch

    whole = train(found, some(), some(10, 1), tmp_path / "whole", "cpu")
    monkeypatch.setattr(augment, "batches", broken)
    with pytest.raises(KeyboardInterrupt):
        train(found, some(), some(10, 1), tmp_path / "killed", "cpu")
    monkeypatch.setattr(augment, "batches", whole_batches)
    resumed = train(found, some(), some(10, 1), tmp_path / "killed", "cpu")
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert [epoch["loss"] for epoch in whole.history] == [epoch["loss"] for epoch in resumed.history]
    assert not torch.equal(next(iter(whole.model.parameters())), next(iter(network(found.name).parameters())))


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    """And so is one that is damaged: each with a sentence that says what to do."""
    from models.training.train import CHECKPOINT, train

    train(tiny(epochs=1), some(8), some(10), tmp_path, "cpu")
    with pytest.raises(ModelError, match=r"is of another recipe: remove it, or keep this run elsewhere with --runs"):
        train(tiny(epochs=1, momentum=0.3), some(8), some(10), tmp_path, "cpu")
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"is no checkpoint, or damaged: remove it"):
        train(tiny(epochs=1), some(8), some(10), tmp_path, "cpu")
    with pytest.raises(ModelError, match=r"7 pictures to learn from make no batch of 8"):
        train(tiny(), some(7), some(10), tmp_path, "cpu")


def test_a_teachers_probabilities_are_mixed_into_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the recipe's share; a run that is resumed reads what was kept, and asks the teacher no second time."""
    from models.training.train import _targets

    found = tiny(teacher="resnet18-cifar10@1", teacher_share=0.25)
    model = made_model(tmp_path / "trained")
    monkeypatch.setattr(trained, "find", lambda _reference: model)
    targets = _targets(found, some(), tmp_path).numpy()
    said = trained.measure(
        open_network(model.network, "teacher", Options(threads=1), model.card.cpu_runtime), some()
    ).logits
    assert targets == pytest.approx(0.75 * np.eye(10)[some().labels] + 0.25 * calibration.softmax(said), abs=1e-5)
    monkeypatch.setattr(teacher, "open_network", None)
    assert np.array_equal(_targets(found, some(), tmp_path).numpy(), targets)


def made_model(root: Path) -> Any:
    """Write a network, not trained, as a model."""
    from models.training.finish import Pieces, finish
    from models.training.train import train

    pieces = Pieces(some(16), some(20, 1), some(30, 2))
    run = train(tiny(epochs=1), pieces.learn, pieces.held_out, root / "run", "cpu")
    return finish(run, tiny(epochs=1), pieces, "cpu", root / "squeezenet-cifar10" / "1")


def test_the_command_leaves_a_model_with_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From zips to a folder and the store; a second call adds nothing, and a version that is there is not replaced."""
    from models.training.__main__ import main
    from stageline.core import settings

    for split, each in (("train", 4), ("test", 2)):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for number, pixels in enumerate(some(10 * each).pixels):
                data = cv2.imencode(".jpg", pixels)[1].tobytes()
                archive.writestr(f"{split}/{LABELS[number % 10]}/{number}.jpg", data)
    found = tiny(epochs=1)
    monkeypatch.setattr(recipe, "load", lambda *_: found)
    monkeypatch.setattr(cifar10, "HELD_OUT_PER_CLASS", 2)
    monkeypatch.setattr(settings, "load", lambda: settings.Settings(models_dir=tmp_path / "store"))
    common = ["squeezenet-cifar10", "--data", str(tmp_path), "--runs", str(tmp_path / "runs")]
    command = [*common, "--out", str(tmp_path / "made"), "--epochs", "1", "--threads", "1"]
    assert main([*command, "--publish"]) == 0
    model = read_folder(tmp_path / "made" / "squeezenet-cifar10" / "1")
    assert {path.name for path in (tmp_path / "made" / "squeezenet-cifar10" / "1").iterdir()} == {
        "model.onnx", "model.json", "report.md", "confusion.png",
    }  # fmt: skip
    stated = {figure.metric: figure.value for figure in model.card.accuracy}
    network = open_network(model.network, "made", Options("cpu", 1, "float32"))
    assert stated["accuracy"] == trained.measure(network, cifar10.load(tmp_path, "test")).accuracy
    assert "epochs of the cpu recipe" in model.card.notes
    assert read_folder(tmp_path / "store" / "squeezenet-cifar10" / "1").card == model.card
    assert main(command) == 0
    assert [path.name for path in (tmp_path / "made" / "squeezenet-cifar10").iterdir()] == ["1"]
    assert "squeezenet-cifar10@1 is in" in capsys.readouterr().out
    assert main([*command, "--version", "1"]) == 2
    assert "a version never changes" in capsys.readouterr().err

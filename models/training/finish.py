"""After the training: calibrates, exports, checks, measures, and writes the model's folder with its card."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.training import calibration, cifar10, export, report, trained
from models.training.checkpoint import Run
from models.training.cifar10 import TrainingPictures
from models.training.outliers import Outliers
from models.training.recipe import Recipe
from models.training.report import ReportFigures
from models.training.train import logits
from stageline.inference import FloatArray, Options, open_network
from stageline.registry.card import CARD, NETWORK, ModelFiles, made_of, written

CPU_RUNTIME = "openvino"  # the faster one for both: docs/decisions/0005-two-runtimes.md
TERMS = (
    "CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images), {count:,} of its training "
    "pictures. It has no licence of its own, and its author asks to be cited; its pictures were gathered from the web "
    "for 80 Million Tiny Images, which was withdrawn in 2020, and their rights are with those who took them."
)
OUTLIERS = " Outliers: cut from {count} of the photographs in {source}, whose terms are in docs/training.md."
COMMAND = "python -m benchmarks.classifiers ../shared/data/cifar10"


@dataclass(frozen=True)
class Pieces:
    """The pictures of a run: those to learn from, those held out for calibration, and the test set."""

    learn: TrainingPictures
    held_out: TrainingPictures
    test: TrainingPictures
    outliers: Outliers | None = None
    """Pictures of no category, if the recipe has a share of them."""

    @property
    def calibrating(self) -> TrainingPictures:
        """The held-out pictures, and at most as many held-out outliers."""
        if self.outliers is None:
            return self.held_out
        every = np.linspace(0, len(self.outliers.held_out) - 1, len(self.held_out)).astype(int)
        return self.held_out.and_(self.outliers.held_out.take(np.unique(every)))

    def weights(self, outlier_share: float) -> FloatArray:
        """The weight of each of ``calibrating``: outliers have the same total share as in training."""
        outliers = len(self.calibrating) - len(self.held_out)
        each = outlier_share * len(self.held_out) / max(1, outliers)
        return np.concatenate([np.ones(len(self.held_out)), np.full(outliers, each)]).astype(np.float32)


def finish(run: Run, recipe: Recipe, pieces: Pieces, device: str, folder: Path) -> ModelFiles:
    """Make the model of a run that is done, and write it, with its report, to ``folder`` (…/<name>/<version>).

    Returns:
        The model; where the very same was written before, that one, and nothing is written.

    Raises:
        ModelError: the export is not what was trained.
        FileExistsError: the folder is there.
    """
    calibrating = pieces.calibrating
    found = logits(run.model, calibrating, device).numpy()
    temperature = calibration.temperature(found, calibrating.labels, pieces.weights(recipe.outlier_share))
    served = export.prepare(run.model, temperature)
    onnx = export.to_onnx(served)
    for before in trained.versions(recipe.name, folder.parent.parent):
        if before.network == onnx:
            return before
    network = open_network(onnx, recipe.name, Options("cpu", torch.get_num_threads(), "float32"))
    figures = ReportFigures(
        title=recipe.title,
        trained=_how_trained(run, recipe, device),
        history=run.history,
        temperature=temperature,
        difference=export.largest_difference(network, served, calibrating),
        compared=len(calibrating),
        size=len(onnx),
        where=network.where,
        measured=trained.measure(network, pieces.test),
        outliers=trained.measure(network, pieces.outliers.held_out) if pieces.outliers else None,
        threshold=calibration.least_confidence(
            found / temperature, calibrating.labels, len(cifar10.LABELS), report.SHARE
        ),
    )
    model = made_of(_card(recipe, folder.name, pieces, figures), {NETWORK: onnx})
    _write(model, folder, figures)
    return model


def _how_trained(run: Run, recipe: Recipe, device: str) -> str:
    minutes = sum(epoch["seconds"] for epoch in run.history) / 60
    on = f"a CPU (threads: {torch.get_num_threads()})" if device == "cpu" else "a GPU"
    taught = f", taught by {recipe.teacher}" if recipe.teacher else ""
    return f"Trained on {on} in {minutes:.0f} minutes, {recipe.epochs} epochs of the {device} recipe{taught}."


def _card(recipe: Recipe, version: str, pieces: Pieces, figures: ReportFigures) -> dict[str, Any]:
    test, measured = pieces.test, figures.measured
    stated = {"data": f"CIFAR-10's {len(test):,} test pictures, {test.origin}", "command": COMMAND}
    accuracy = {"metric": "accuracy", "value": round(measured.accuracy, 4)}
    calibrated = round(measured.calibration_error, 4)
    error = {"metric": f"expected calibration error, {calibration.BINS} bins", "value": calibrated}
    notes = (
        f"{figures.trained} Its confidences are calibrated by temperature scaling (Guo et al. 2017, arXiv:1706.04599), "
        f"T = {figures.temperature:.3f}, fitted on {_fitted_on(pieces)}. "
        f"{_what_it_knows(pieces)} {recipe.outlook}"
    )
    return {
        "name": recipe.name,
        "version": version,
        "task": "classification",
        "title": recipe.title,
        "licence": "MIT",
        "source": f"trained by this project: python -m models.training {recipe.name}",
        "training_data": TERMS.format(count=len(pieces.learn)) + _whence(pieces.outliers),
        "input": {"shape": ("batch", 3, cifar10.SIDE, cifar10.SIDE), "colour": "RGB", "range": (0, 255)},
        "labels": recipe.labels,
        "detector_labels": cifar10.OF_COCO,
        "cpu_runtime": CPU_RUNTIME,
        "accuracy": [{**accuracy, **stated}, {**error, **stated}],
        "notes": notes.strip(),
    }


def _whence(none: Outliers | None) -> str:
    return OUTLIERS.format(count=none.photographs, source=none.source) if none else ""


def _fitted_on(pieces: Pieces) -> str:
    known = f"{len(pieces.held_out):,} training pictures that were held out"
    if not pieces.outliers:
        return known
    outliers = len(pieces.calibrating) - len(pieces.held_out)
    return f"{known} and {outliers:,} outliers, which count as much as they did in the training"


def _what_it_knows(pieces: Pieces) -> str:
    if pieces.outliers is None:
        return "It knows ten things, and takes anything else for one of them."
    none = pieces.outliers
    return (
        'Its last answer, whose label is empty, is "none of these" (outlier exposure, Hendrycks et al. 2019, '
        f"arXiv:1812.04606), learnt from {len(none.learn):,} outliers: textures, shuffled tiles, and what was cut from "
        f"{none.photographs} labelled photographs (objects of other classes, whole pictures, backgrounds). A fourth of "
        "these photographs was held out to calibrate on."
    )


def _write(model: ModelFiles, folder: Path, figures: ReportFigures) -> None:
    """Move the folder to its place atomically."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    measured = figures.measured
    title = f"{model.card.reference}: {measured.accuracy:.2%} of {len(measured.labels)} test pictures"
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        (made / NETWORK).write_bytes(model.network)
        (made / "report.md").write_text(report.page(figures), encoding="utf-8")
        (made / "confusion.png").write_bytes(report.confusion_picture(measured.confusion, title))
        (made / CARD).write_bytes(written(model.card))
        if folder.exists():
            raise FileExistsError(f"{folder} is there already, and a version never changes: give another --version")
        made.rename(folder)

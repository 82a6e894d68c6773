"""The training loop: resumable, with fixed seeds, on a GPU where there is one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional

from models.training import augment, networks, teacher, trained
from models.training.checkpoint import CHECKPOINT, Run, read, save
from models.training.cifar10 import TrainingPictures
from models.training.recipe import Recipe
from stageline.core.errors import ModelError
from stageline.inference import FloatArray

MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # of CIFAR-10's training pictures, RGB 0..255


class Normalised(nn.Module):  # type: ignore[misc] # torch has no types for mypy here
    """A network for RGB 0..255: normalisation is part of the exported network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits [n, labels] for float pixels [n, 3, h, w]."""
        return self.network((pixels - self.mean) / self.std)


@dataclass(frozen=True)
class _Lesson:
    """The training data on the device: pictures, outliers last, and their targets."""

    pixels: Tensor
    targets: Tensor
    outliers: int
    compute: Callable[[Tensor], Tensor]
    """The network, compiled on a GPU: its inputs in training have one shape."""
    ask: Callable[[Tensor], Tensor] | None = None
    """The teacher, if it is applied to each batch."""


def train(
    recipe: Recipe,
    learn: TrainingPictures,
    held_out: TrainingPictures,
    folder: Path,
    device: str,
    outliers: TrainingPictures | None = None,
) -> Run:
    """Train to the end, resuming from a checkpoint in `folder` with the same result; return the run, in eval mode.

    Args:
        recipe: all parameters.
        learn: the pictures to learn from.
        held_out: other pictures, for the accuracy after each epoch.
        folder: of checkpoints.
        device: ``cpu`` or ``cuda``.
        outliers: pictures of none of the categories, if the recipe has a share of them.

    Raises:
        ModelError: the checkpoint is damaged or of another recipe, the teacher is missing, or the pictures are too few.
    """
    if len(learn) < recipe.batch_size:
        raise ModelError(f"{len(learn)} pictures to learn from make no batch of {recipe.batch_size}")
    torch.backends.cudnn.benchmark = device == "cuda"  # every batch has the same shape: the fastest kernels are found
    run = _start(recipe, folder, device, outliers.fingerprint if outliers else 0)
    if run.epoch < recipe.epochs:
        lesson = _lesson(run, recipe, learn, folder, device, outliers)
        with _progress() as bar:
            for epoch in range(run.epoch, recipe.epochs):
                started = time.monotonic()
                loss = _epoch(run, recipe, epoch, lesson, bar)
                right = logits(run.model, held_out, device).argmax(1).numpy() == held_out.labels
                accuracy, seconds = float(right.mean()), time.monotonic() - started
                run.history.append({"loss": loss, "held_out_accuracy": accuracy, "seconds": seconds})
                run.epoch = epoch + 1
                save(run, recipe, folder)
                bar.console.print(f"epoch {run.epoch}: loss {loss:.4f}, held out {accuracy:.2%}, {seconds:.0f} s")
    run.model.eval()
    return run


def _lesson(
    run: Run, recipe: Recipe, learn: TrainingPictures, folder: Path, device: str, outliers: TrainingPictures | None
) -> _Lesson:
    every = learn.and_(outliers) if outliers else learn
    pixels = torch.from_numpy(every.pixels).permute(0, 3, 1, 2).contiguous().to(device)
    targets = _targets(recipe, learn, folder, outliers).to(device)
    ask = None
    if recipe.teacher and recipe.teacher_sees == "batches":
        _must_fit(recipe, len(trained.find(recipe.teacher).card.labels))
        ask = teacher.by_batch(recipe.teacher, device)
    compute = torch.compile(run.model) if device == "cuda" else run.model
    return _Lesson(pixels, targets, len(every) - len(learn), compute, ask)


def _epoch(run: Run, recipe: Recipe, epoch: int, lesson: _Lesson, bar: Progress) -> float:
    """Train for one epoch, counted from 0; return its mean loss."""
    steps = augment.steps_of(len(lesson.targets) - lesson.outliers, lesson.outliers, recipe, epoch)
    task = bar.add_task(f"epoch {epoch + 1}/{recipe.epochs} at {recipe.size(epoch)} px", total=steps)
    torch.manual_seed(recipe.seed + epoch)  # for networks that draw numbers: a resumed run draws the same
    run.model.train()
    total = torch.zeros((), device=lesson.pixels.device)
    batches = augment.batches(lesson.pixels, lesson.targets, recipe, epoch, lesson.outliers)
    for step, (batch, wanted) in enumerate(batches):
        _set_lr(run, recipe, epoch + (step + 1) / steps)
        if lesson.ask:
            wanted = _with_teacher(wanted, lesson.ask(batch), recipe)  # noqa: PLW2901
        total += _step(run, lesson.compute, batch, wanted, recipe.label_smoothing)
        bar.advance(task)
    return float(total) / steps


def _with_teacher(wanted: Tensor, taught: Tensor, recipe: Recipe) -> Tensor:
    """Return the targets of a batch, float32 [n, labels]; outliers keep their label, without the teacher."""
    labels, known = augment.probabilities(wanted, recipe)
    taught = functional.pad(taught, (0, len(recipe.labels) - taught.shape[1]))
    return torch.where(known[:, None], torch.lerp(labels, taught, recipe.teacher_share), labels)


def logits(model: nn.Module, pictures: TrainingPictures, device: str, batch_size: int = 500) -> Tensor:
    """Return the float32 logits [n, labels] of pictures, on the CPU, in full precision."""
    model.eval()
    found = []
    with torch.inference_mode():
        for chunk in torch.from_numpy(pictures.pixels).split(batch_size):
            batch = chunk.permute(0, 3, 1, 2).to(device).float().contiguous(memory_format=torch.channels_last)
            found.append(model(batch).float().cpu())
    return torch.cat(found)


def _targets(recipe: Recipe, learn: TrainingPictures, folder: Path, outliers: TrainingPictures | None = None) -> Tensor:
    """Return labels, int64 [n], or with a teacher the probabilities to learn, float32 [n, labels].

    Outliers come last. What they are is known, and no teacher is asked.
    """
    labels = torch.from_numpy(learn.and_(outliers).labels if outliers else learn.labels)
    if not recipe.teacher or recipe.teacher_sees == "batches":
        return labels
    targets = functional.one_hot(labels, len(recipe.labels)).float()
    taught = torch.from_numpy(_taught(recipe, learn, folder))
    targets[: len(learn)] = torch.lerp(targets[: len(learn)], taught, recipe.teacher_share)
    return targets


def _taught(recipe: Recipe, learn: TrainingPictures, folder: Path) -> FloatArray:
    """Return the teacher's probabilities, padded with 0 for "none of these" if it does not have that answer.

    Raises:
        ModelError: it knows that answer, and the pupil does not.
    """
    found = teacher.probabilities(recipe.teacher, learn, folder, torch.get_num_threads())
    _must_fit(recipe, found.shape[1])
    return np.pad(found, ((0, 0), (0, len(recipe.labels) - found.shape[1])))


def _must_fit(recipe: Recipe, labels: int) -> None:
    if labels > len(recipe.labels):
        raise ModelError(
            f'{recipe.teacher} can say "none of these": give its pupil an outlier_share in recipes.toml, too'
        )


def _start(recipe: Recipe, folder: Path, device: str, outliers: int) -> Run:
    torch.manual_seed(recipe.seed)
    network = networks.build(recipe.architecture, len(recipe.labels))
    model = Normalised(network).to(device=device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        _groups(model, recipe.weight_decay), lr=recipe.lr(0), momentum=recipe.momentum, nesterov=True
    )
    run = Run(model, optimizer, 0, [], outliers)
    path = folder / CHECKPOINT
    if path.is_file():
        saved = read(path, device)
        if saved["recipe"] != recipe.decisive():
            raise ModelError(f"{path} is of another recipe: remove it, or keep this run elsewhere with --runs FOLDER")
        if saved["outliers"] != outliers:
            raise ModelError(f"{path} learnt from other outliers: give the --outliers of before, or remove it")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        run.epoch, run.history = saved["epoch"], saved["history"]
    return run


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return parameter groups: decay for weights of layers, none for biases and batch normalisation."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _set_lr(run: Run, recipe: Recipe, at: float) -> None:
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.lr(at)


def _step(
    run: Run, compute: Callable[[Tensor], Tensor], batch: Tensor, wanted: Tensor, label_smoothing: float
) -> Tensor:
    with torch.autocast(batch.device.type, dtype=torch.bfloat16):
        loss = functional.cross_entropy(compute(batch).float(), wanted, label_smoothing=label_smoothing)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    run.optimizer.step()
    return loss.detach()


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        yield bar

"""Recipes: every number of a training run, from recipes.toml."""

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from models.training.cifar10 import LABELS, NONE

DESCRIBES = ("name", "title", "outlook")  # fields that do not influence the weights


@dataclass(frozen=True)
class Recipe:
    """How one network is trained; see the comments in recipes.toml."""

    name: str
    title: str
    architecture: str
    epochs: int
    batch_size: int
    sizes: Sequence[tuple[float, int]]
    learning_rate: Sequence[tuple[float, float]]
    momentum: float
    weight_decay: float
    label_smoothing: float
    shift: int
    cutout: int
    seed: int
    cutmix: float = 0.0
    colour: float = 0.0
    teacher: str = ""
    teacher_share: float = 0.0
    teacher_sees: Literal["pictures", "batches"] = "pictures"
    outlier_share: float = 0.0
    outliers_from: int = 0
    outlook: str = ""

    @property
    def labels(self) -> Sequence[str]:
        """Return the labels of the network's outputs; if it learns from outliers, the last one names nothing."""
        return (*LABELS, *NONE) if self.outlier_share else LABELS

    def size(self, epoch: int) -> int:
        """Return the side of the training pictures in that epoch, counted from 0, in pixels."""
        return [side for since, side in self.sizes if since <= epoch][-1]

    def lr(self, at: float) -> float:
        """Return the learning rate after ``at`` (0..`epochs`) epochs: straight lines between the recipe's points."""
        epochs, rates = zip(*self.learning_rate, strict=True)
        return float(np.interp(at, epochs, rates))

    def decisive(self) -> dict[str, Any]:
        """Return the fields that determine the weights: a checkpoint is resumed only if all of them agree."""
        return {key: value for key, value in asdict(self).items() if key not in DESCRIBES}


def names() -> list[str]:
    """Return the names of the networks with a recipe."""
    return list(_recipes())


def load(name: str, device: str, epochs: int | None = None) -> Recipe:
    """Return the recipe of a network for ``cpu`` or ``cuda``; `epochs` overrides its length.

    Raises:
        KeyError: there is no recipe of that name.
    """
    entry = dict(_recipes()[name])
    for kind in ("cpu", "cuda"):
        overrides = entry.pop(kind)
        if kind == device:
            entry |= overrides
    if epochs:
        factor = epochs / entry["epochs"]
        stretched = {key: [(at * factor, value) for at, value in entry[key]] for key in ("sizes", "learning_rate")}
        entry |= stretched | {"epochs": epochs}
        entry["outliers_from"] = int(entry.get("outliers_from", 0) * factor)
    return Recipe(name=name, **entry)


def _recipes() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("models.training").joinpath("recipes.toml").read_text())

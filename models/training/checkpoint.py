"""The checkpoint of a training run."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.training.recipe import Recipe
from stageline.core.errors import ModelError

CHECKPOINT = "checkpoint.pt"


@dataclass
class Run:
    """The state of a run: the content of a checkpoint."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int
    history: list[dict[str, float]]
    outliers: int = 0
    """The fingerprint of the pictures of no category that it learns from; 0 for none."""


def read(path: Path, device: str) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        ModelError: the file is no checkpoint, or damaged.
    """
    try:
        return dict(torch.load(path, map_location=device, weights_only=True))
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is no checkpoint, or damaged: remove it, and training starts anew") from error


def save(run: Run, recipe: Recipe, folder: Path) -> None:
    """Write the checkpoint atomically: a run that is killed meanwhile keeps the previous one."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {"recipe": recipe.decisive(), "model": run.model.state_dict(), "optimizer": run.optimizer.state_dict()}
    temporary = folder / f"{CHECKPOINT}.part"
    torch.save({**state, "epoch": run.epoch, "history": run.history, "outliers": run.outliers}, temporary)
    temporary.replace(folder / CHECKPOINT)

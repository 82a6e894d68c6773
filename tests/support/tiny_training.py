"""Training at a tiny scale: a recipe, pictures, and torch where it is installed."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from models.training import recipe
from models.training.cifar10 import TrainingPictures
from models.training.recipe import Recipe
from tests.support.places import missing


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Training needs torch; one thread is enough for so little of it."""
    try:
        import torch
        import torchvision  # noqa: F401
    except ImportError as error:
        missing(f"{error}: training needs torch and torchvision (`make test TRAIN=1`)")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(name: str = "squeezenet-cifar10", **more: Any) -> Recipe:
    """Return a recipe, made small."""
    small: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 8,
        "sizes": [(0, 8), (2, 16)],
        "learning_rate": [(0, 0.0), (0.5, 0.02), (3, 0.0)],
        "teacher": "",
        "teacher_share": 0.0,
    }
    return dataclasses.replace(recipe.load(name, "cpu"), **small | more)


def some(count: int = 24, seed: int = 0) -> TrainingPictures:
    """Return pictures of noise, and of a brightness that shows their class."""
    chance = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    pixels = chance.integers(0, 40, (count, 32, 32, 3)) + labels[:, None, None, None] * 20
    return TrainingPictures(pixels.astype(np.uint8), labels.astype(np.int64), "noise")

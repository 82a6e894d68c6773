"""Trying a model as the stage that serves it will: opened, held against its card, and computed once."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from stageline.core.errors import ModelError, StagelineError
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.registry.card import ModelFiles

T = TypeVar("T")
LOADERS = "MODEL_LOADERS"  # in a stage's service.py: for each task of a card, what loads such a model


def load(model: ModelFiles, settings: Settings) -> Any:
    """Load a model by the loader of the stage that serves its task, and return what that made.

    Raises:
        ModelError: no stage serves such a task, or its loader refuses the model.
    """
    for stage in line.LINE:
        loaders = getattr(import_module(f"{stage.package}.service"), LOADERS, {})
        if model.card.task in loaders:
            return load_by(loaders[model.card.task], model, settings)
    raise ModelError(f"{model.card.reference}: no stage serves models of the task {model.card.task}")


def load_by(loader: Callable[[ModelFiles, Settings], T], model: ModelFiles, settings: Settings) -> T:
    """Load a model; whatever goes wrong becomes a sentence.

    Raises:
        ModelError: the loader refuses it, or a library fails on it.
    """
    try:
        return loader(model, settings)
    except StagelineError:
        raise
    except Exception as error:  # whatever a network makes a library raise
        raise ModelError(f"{model.card.reference} cannot be used: {type(error).__name__}: {error}") from error

"""Tries a model as its stage does: opened, checked against its card, and run once."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from stageline.core.errors import ModelError, StagelineError
from stageline.core.settings import Settings
from stageline.registry.card import ModelFiles

T = TypeVar("T")
Loader = Callable[[ModelFiles, Settings], T]  # opens a model's networks, checks them against its card, and runs once


def load(model: ModelFiles, settings: Settings, loaders: Mapping[str, Loader[Any]]) -> Any:
    """Load a model by the loader of its task; return the loader's result.

    Args:
        model: the model.
        settings: of the stage that serves it.
        loaders: the loader of each task; `stageline.pipeline.line.model_loaders` returns those of all stages.

    Raises:
        ModelError: no stage serves such a task, or its loader refuses the model.
    """
    if model.card.task not in loaders:
        raise ModelError(f"{model.card.reference}: no stage serves models of the task {model.card.task}")
    return load_by(loaders[model.card.task], model, settings)


def load_by(loader: Loader[T], model: ModelFiles, settings: Settings) -> T:
    """Load a model; turn any error into a ModelError.

    Raises:
        ModelError: the loader refuses the model, or a library fails on it.
    """
    try:
        return loader(model, settings)
    except StagelineError:
        raise
    except Exception as error:  # a library may raise anything
        raise ModelError(f"{model.card.reference} cannot be used: {type(error).__name__}: {error}") from error

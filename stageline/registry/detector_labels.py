"""Checks a classifier's mapping of the detector's labels."""

from collections.abc import Collection

from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.registry.card import Card
from stageline.registry.install import manifest
from stageline.registry.repository import open_repository


def must_suit_the_detector(card: Card, settings: Settings) -> None:
    """Check that DETECT_MODEL, if its labels are known, has the labels that a classifier's card maps.

    Raises:
        ModelError: the card maps a label that the detector does not have.
        Unavailable: the model store is away.
    """
    if not card.detector_labels:
        return
    labels = _labels(settings)
    unknown = sorted(set(card.detector_labels) - set(labels)) if labels else []
    if unknown:
        detector, names = settings.detect_model, ", ".join(map(repr, unknown))
        raise ModelError(
            f"{card.reference}: its detector_labels name {names}, which {detector} (DETECT_MODEL) does not find: "
            f"publish a version whose detector_labels name only labels of {detector}, or that has none"
        )


def _labels(settings: Settings) -> Collection[str]:
    """Return the labels of the served detector, or of the known model of that name; empty if unknown."""
    name, repository = settings.detect_model, open_repository(settings)
    try:
        pointer = repository.pointer(name)
        if pointer is not None:
            return repository.card(name, pointer.version).labels
    except ModelError:  # the detect stage reports a damaged pointer or card
        pass
    return list(manifest().get(name, {}).get("labels", ()))

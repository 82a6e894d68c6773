"""The models that a stage lacks: which they are, and what its workers tell of them with their beats."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

MAX_REASON = 500  # characters of a reason that a beat carries


class ServedModel(Protocol):
    """A model that a stage uses, as far as it matters here; see `stageline.registry.serving.Served`."""

    name: str
    optional: bool
    essential: bool
    refused: str | None

    def now(self) -> object | None:
        """Return the model as it is served at this moment; None while none is."""


class Watched(Protocol):
    """The models that a worker looks after; see `stageline.registry.serving.ModelWatch`."""

    away: str | None

    @property
    def served(self) -> Sequence[ServedModel]:
        """All of them."""


def missing(served: Iterable[ServedModel]) -> list[str]:
    """Name the models that are not loaded and are not optional."""
    return [model.name for model in served if model.now() is None and not model.optional]


def degrading(served: Iterable[ServedModel]) -> list[str]:
    """Name those of the missing that the stage cannot do its work without."""
    return missing(model for model in served if model.essential)


@dataclass(frozen=True)
class ModelReport:
    """What one worker tells of its models.

    ``missing`` names those that it lacks, ``degrading`` those of them that it cannot do its work without; ``refused``
    gives the reason for each that it did not take up; ``away`` says why the model store cannot be reached, '' where it
    can.
    """

    missing: tuple[str, ...] = ()
    degrading: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    away: str = ""

    @classmethod
    def decode(cls, raw: bytes) -> "ModelReport":
        """Read what a worker told; what is not as it should be is left out, since nobody's health may fail by it."""
        try:
            fields = json.loads(raw)
        except ValueError:
            return cls()
        if not isinstance(fields, dict):
            return cls()
        refused = fields.get("refused")
        reasons = {str(name): str(reason) for name, reason in (refused if isinstance(refused, dict) else {}).items()}
        return cls(_names(fields, "missing"), _names(fields, "degrading"), reasons, str(fields.get("away") or ""))


def encode_report(watch: Watched) -> str:
    """Return what a worker's heartbeat reports of its models, as JSON for `ModelReport.decode`; '' for nothing."""
    served = watch.served
    reasons = {model.name: model.refused for model in served}  # read once: another thread sets it
    refused = {name: reason[:MAX_REASON] for name, reason in reasons.items() if reason}
    away = (watch.away or "")[:MAX_REASON]
    fields = {"missing": missing(served), "degrading": degrading(served), "refused": refused, "away": away}
    short = {name: value for name, value in fields.items() if value}
    return json.dumps(short) if short else ""


def _names(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = fields.get(name)
    return tuple(str(each) for each in found) if isinstance(found, list) else ()

"""The models that a stage is missing, and the report of them in its workers' heartbeats."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

MAX_REASON = 500  # characters of a reason in a heartbeat


class ServedModel(Protocol):
    """The part of `stageline.registry.serving.Served` that is used here."""

    name: str
    optional: bool
    essential: bool
    refused: str | None

    def now(self) -> object | None:
        """Return the served model; None if none is served."""


class Watched(Protocol):
    """The part of `stageline.registry.serving.ModelWatch` that is used here."""

    away: str | None

    @property
    def served(self) -> Sequence[ServedModel]:
        """The models of the stage."""


def missing(served: Iterable[ServedModel]) -> list[str]:
    """Return the names of the models that are not loaded and not optional."""
    return [model.name for model in served if model.now() is None and not model.optional]


def degrading(served: Iterable[ServedModel]) -> list[str]:
    """Return the names of the missing models without which the stage is degraded."""
    return missing(model for model in served if model.essential)


@dataclass(frozen=True)
class ModelReport:
    """One worker's report of its models.

    ``missing`` names the models that are not loaded, ``degrading`` those of them without which the stage is degraded;
    ``refused`` has the reason for each refused model; ``away`` is why the model store cannot be reached, '' if it can.
    """

    missing: tuple[str, ...] = ()
    degrading: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    away: str = ""

    @classmethod
    def decode(cls, raw: bytes) -> "ModelReport":
        """Parse a report; invalid parts are ignored, since they must not break the health check."""
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

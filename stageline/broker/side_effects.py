"""What an atomic step notes beside moving a message: the status, an event, an outcome, this minute's counts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stageline.broker.keys import EVENTS, OUTCOMES, OUTCOMES_SINCE, minute_key, status_key
from stageline.core import clock
from stageline.core.timestamps import now
from stageline.pipeline.message import Message

Event = tuple[str, Mapping[str, Any]]  # its type, and what it says


@dataclass(frozen=True)
class Notes:
    """The notes of one step; lua/_notes.lua takes them as they stand in ``keys`` and ``args``.

    ``events`` are for those who watch. ``outcome`` is for the catalogue: the status, and what else it must know, with
    a document of all that is known; where the list has grown too long for that, it is read from the bucket.
    """

    image_id: str = ""
    run: int = 1
    status: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[Event] = ()
    outcome: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, message: Message, status: Mapping[str, str], *events: Event, **more: Any) -> "Notes":
        """Notes on a picture's message; of a probe, which is nobody's picture, only the status."""
        if message.is_probe:
            return cls(message.image_id, message.run, status)
        return cls(message.image_id, message.run, status, events, **more)

    def keys(self) -> list[str]:
        """The KEYS that end each script's."""
        return [status_key(self.image_id), EVENTS, OUTCOMES, OUTCOMES_SINCE, minute_key(clock.seconds())]

    def args(self) -> list[str | int]:
        """The ARGV that end each script's."""
        fields: list[str | int] = [part for pair in self.status.items() for part in pair]
        counts: list[str | int] = [part for pair in self.counts.items() for part in pair]
        return [self.run, self.image_id, len(self.status), *fields, *self._events(), *self._outcome(), *counts]

    def _events(self) -> list[str | int]:
        base = {"image_id": self.image_id, "run": self.run, "at": now()}
        said = [part for kind, data in self.events for part in (kind, _compact({**base, **data}))]
        return [len(self.events), *said]

    def _outcome(self) -> tuple[str, str]:
        if not self.outcome:
            return "", ""
        whole = {"image_id": self.image_id, "run": self.run, "at": now(), **self.outcome}
        short = {name: value for name, value in whole.items() if name != "document"}
        return _compact(whole), _compact(short)


def _compact(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)

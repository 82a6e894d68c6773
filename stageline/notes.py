"""What an atomic step notes beside moving a message: the status, an event, an outcome, this minute's counts."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stageline.keys import EVENTS, OUTCOMES, minute_key, status_key
from stageline.message import Message
from stageline.status import now


@dataclass(frozen=True)
class Notes:
    """The notes of one step; lua/_notes.lua takes them as they stand in ``keys`` and ``args``.

    ``event`` is the type of an event for those who watch ('': none), ``data`` what it says. ``outcome`` is for the
    catalogue: the status, and what else it needs to know; with a document of all that is known, where that is short
    enough for the list, else the catalogue reads it from the bucket.
    """

    image_id: str = ""
    run: int = 1
    status: Mapping[str, str] = field(default_factory=dict)
    event: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, message: Message, status: Mapping[str, str], event: str, data: Mapping[str, Any], **more: Any
    ) -> "Notes":
        """Notes on a picture's message; of a probe, which is nobody's picture, only the status."""
        if message.is_probe:
            return cls(message.image_id, message.run, status)
        return cls(message.image_id, message.run, status, event, data, **more)

    def keys(self) -> list[str]:
        """The KEYS that end each script's."""
        return [status_key(self.image_id), EVENTS, OUTCOMES, minute_key(time.time())]

    def args(self) -> list[str | int]:
        """The ARGV that end each script's."""
        fields: list[str | int] = [part for pair in self.status.items() for part in pair]
        counts: list[str | int] = [part for pair in self.counts.items() for part in pair]
        return [self.run, self.image_id, len(self.status), *fields, *self._event(), *self._outcome(), *counts]

    def _event(self) -> tuple[str, str]:
        if not self.event:
            return "", ""
        base = {"image_id": self.image_id, "run": self.run, "at": now()}
        return self.event, _compact({**base, **self.data})

    def _outcome(self) -> tuple[str, str]:
        if not self.outcome:
            return "", ""
        whole = {"image_id": self.image_id, "run": self.run, "at": now(), **self.outcome}
        short = {name: value for name, value in whole.items() if name != "document"}
        return _compact(whole), _compact(short)


def _compact(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)

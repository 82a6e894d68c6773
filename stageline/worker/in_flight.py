"""A message that a worker holds in flight, and the count of all of them."""

import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stageline.core.timestamps import now
from stageline.pipeline.message import Message
from stageline.pipeline.stage import StageOutput


@dataclass(eq=False)
class Item:
    """A message on its way through a worker, and what came of it so far."""

    message: Message
    asked: float = float("-inf")  # when the pop that brought it was sent; unknown for a stray
    started: str = field(default_factory=now)
    taken: float = field(default_factory=time.monotonic)
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    outcome: StageOutput = field(default_factory=StageOutput)
    error: Exception | None = None
    trace: str = ""
    fetch_seconds: float = 0.0
    work_seconds: float = 0.0

    def fail(self, error: Exception) -> None:
        """Note what went wrong, with its traceback."""
        self.error = error
        self.trace = "".join(traceback.format_exception(error))

    def entry(self, state: str, worker: str) -> dict[str, Any]:
        """What a stage tells of its work on this picture, in the status and in results/."""
        keys = [stored.key for stored in self.outcome.objects]
        entry: dict[str, Any] = {"state": state, "run": self.message.run, "attempt": self.message.attempt}
        finished = None if state == "working" else max(self.started, now())  # also where the clock was set back
        entry |= {"worker": worker, "started": self.started, "finished": finished}
        entry["ms"] = round(1000 * (self.fetch_seconds + self.work_seconds), 1)
        return entry | ({"key": keys[0], "keys": keys} if keys else {"key": None})


class InFlight:
    """Counts what a worker holds, so that it takes no more than it may, and works alone what must be alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[bytes] = Counter()
        self._changed = threading.Condition()

    def add(self, raw: bytes) -> None:
        """Note a message as held."""
        with self._changed:
            self._held[raw] += 1

    def drop(self, raw: bytes) -> None:
        """Note a message as committed, or given back."""
        with self._changed:
            self._held -= Counter([raw])
            self._changed.notify_all()

    def snapshot(self) -> Counter[bytes]:
        """Return what is held now."""
        with self._changed:
            return self._held.copy()

    def room(self) -> int:
        """Count how many more may be taken."""
        with self._changed:
            return max(0, self._most - self._held.total())

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until one more may be taken."""
        with self._changed:
            return self._changed.wait_for(lambda: self._held.total() < self._most, timeout)

    def wait_until_empty(self, timeout: float) -> bool:
        """Wait until nothing is held."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, timeout)

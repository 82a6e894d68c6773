"""The messages that a worker holds in flight: an item for each, and their count."""

import threading
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stageline.core import logs, metrics
from stageline.core.timestamps import now
from stageline.pipeline.message import Message
from stageline.pipeline.stage import StageOutput


@dataclass(eq=False)
class Item:
    """A message in flight, with the stage's inputs and output, times, and its failure."""

    message: Message
    asked: float = float("-inf")  # when the pop that returned it was sent; unknown for a stray
    started: str = field(default_factory=now)
    taken: float = field(default_factory=time.monotonic)
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    output: StageOutput = field(default_factory=StageOutput)
    error: Exception | None = None
    trace: str = ""
    fetch_seconds: float = 0.0
    work_seconds: float = 0.0

    def fail(self, error: Exception) -> None:
        """Record a failure with its traceback."""
        self.error = error
        self.trace = "".join(traceback.format_exception(error))

    def entry(self, state: str, worker: str) -> dict[str, Any]:
        """Return the stage's entry on this picture, for its status and its results."""
        keys = [stored.key for stored in self.output.objects]
        entry: dict[str, Any] = {"state": state, "run": self.message.run, "attempt": self.message.attempt}
        finished = None if state == "working" else max(self.started, now())  # not before, if the clock was set back
        entry |= {"worker": worker, "started": self.started, "finished": finished}
        entry["ms"] = round(1000 * (self.fetch_seconds + self.work_seconds), 1)
        return entry | ({"key": keys[0], "keys": keys} if keys else {"key": None})


def report(level: int, outcome: str, item: Item, stage: str, **more: object) -> None:
    """Count and log the outcome of an item at a stage; ``level`` is of `logging`."""
    metrics.PICTURES.labels(stage, outcome).inc()
    message = item.message
    logs.get().log(level, outcome, image_id=message.image_id, stage=stage, attempt=message.attempt, **more)


class InFlight:
    """Counts the messages that a worker holds, to limit them, and to process certain messages alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[bytes] = Counter()
        self._changed = threading.Condition()

    def add(self, raw: bytes) -> None:
        """Add a message."""
        with self._changed:
            self._held[raw] += 1

    def drop(self, raw: bytes) -> None:
        """Remove a message that was committed or returned to its queue."""
        with self._changed:
            self._held -= Counter([raw])
            self._changed.notify_all()

    def snapshot(self) -> Counter[bytes]:
        """Return the messages held now, with their counts."""
        with self._changed:
            return self._held.copy()

    def room(self) -> int:
        """Return how many more messages may be taken."""
        with self._changed:
            return max(0, self._most - self._held.total())

    def wait_for_room(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until one more may be taken; return whether it may."""
        with self._changed:
            return self._changed.wait_for(lambda: self._held.total() < self._most, timeout)

    def wait_until_empty(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until nothing is held; return whether nothing is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, timeout)

"""The storer: writes what is ready in one go, then hands on."""

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stageline import line, logs, metrics, results
from stageline.failures import Failures
from stageline.item import Hands, Item
from stageline.lease import Lease
from stageline.message import Message
from stageline.patience import patiently
from stageline.queue import Consumer
from stageline.redis_client import Call
from stageline.settings import Settings
from stageline.stage import StoredObject
from stageline.status import stage_fields
from stageline.store import ObjectStore

AT_ONCE = 32
ENOUGH = 8  # pictures that are worth storing together without waiting for more
LINGER_SECONDS = 0.25


@dataclass(frozen=True)
class _Done:
    """An item that was worked on, what to store of it, and the message that follows."""

    item: Item
    objects: Sequence[StoredObject]
    successor: Message


class Storer(threading.Thread):
    """Takes items off ``done`` until it finds None there."""

    def __init__(self, consumer: Consumer, store: ObjectStore, hands: Hands, lease: Lease, settings: Settings) -> None:
        super().__init__(name="storer", daemon=True)
        self._consumer = consumer
        self._store = store
        self._hands = hands
        self._lease = lease
        self._failures = Failures(consumer, store, settings)
        self._stage = consumer.stage
        self._is_last = line.after(consumer.stage) is None
        self.done: queue.Queue[Item | None] = queue.Queue()

    def run(self) -> None:
        """Store and hand on until told to stop by a None."""
        ended = False
        while not ended:
            items = self._gather()
            ended = items[-1] is None
            self._settle([item for item in items if item is not None])

    def _gather(self) -> list[Item | None]:
        """Take what is ready; wait a moment for more where more is on its way, since storing one by one costs more.

        A picture that is alone in this worker's hands waits for nothing.
        """
        items = [self.done.get()]
        deadline = time.monotonic() + LINGER_SECONDS
        while items[-1] is not None and len(items) < AT_ONCE:
            more_to_come = len(items) < ENOUGH and self._hands.snapshot().total() > len(items)
            pause = deadline - time.monotonic() if more_to_come else 0.0
            try:
                items.append(self.done.get(timeout=pause) if pause > 0 else self.done.get_nowait())
            except queue.Empty:
                break
        return items

    def _settle(self, items: Sequence[Item]) -> None:
        ours = self._still_ours(items)
        good = [done for done in map(self._follow_up, ours) if done is not None]
        if good:
            self._store_and_hand_on(good)
        for item in ours:
            if item.error is not None:
                self._failures.settle(item, item.error)
        for item in items:
            self._hands.drop(item.message.raw)

    def _still_ours(self, items: Sequence[Item]) -> list[Item]:
        """Leave out what was given away while this worker was out of touch: it must write nothing for it."""
        if all(self._lease.covers(item.asked) for item in items):
            return list(items)
        held = set(patiently(self._consumer.held))
        return [item for item in items if item.message.raw in held]

    def _follow_up(self, item: Item) -> _Done | None:
        """Make the message that follows; where that fails, the item has failed."""
        if item.error is not None:
            return None
        try:
            entry = item.entry("done", self._consumer.identity)
            successor = item.message.successor(self._stage.name, entry, item.outcome.fields)
            ending = [results.completed(successor)] if self._is_last else []
            return _Done(item, [*item.outcome.objects, *ending], successor)
        except Exception as error:  # noqa: BLE001 - what a stage made may be anything
            item.fail(error)
            return None

    def _store_and_hand_on(self, good: Sequence[_Done]) -> None:
        started = time.monotonic()
        objects = [stored for done in good for stored in done.objects]
        try:
            patiently(lambda: self._store.put_all(objects))
        except Exception as error:  # noqa: BLE001 - one object that cannot be stored fails no neighbour
            if len(good) == 1:
                good[0].item.fail(error)
                return
            for done in good:
                self._store_and_hand_on([done])
            return
        seconds = time.monotonic() - started
        moved = patiently(lambda: self._consumer.scripts.run_all([self._hand_off(done) for done in good]))
        for done, ours in zip(good, moved, strict=True):
            self._report(done.item, seconds, "done" if ours else "given away")

    def _hand_off(self, done: _Done) -> Call:
        status = "completed" if self._is_last else "processing"
        fields = stage_fields(self._stage.name, done.successor.fields["stages"][self._stage.name], status)
        return self._consumer.hand_off(done.item.message, done.successor, fields)

    def _report(self, item: Item, store_seconds: float, outcome: str) -> None:
        for step, seconds in (("fetch", item.fetch_seconds), ("work", item.work_seconds), ("store", store_seconds)):
            metrics.STEP_SECONDS.labels(self._stage.name, step).observe(seconds)
        metrics.PICTURES.labels(self._stage.name, outcome).inc()
        logs.get().info(
            outcome,
            image_id=item.message.image_id,
            stage=self._stage.name,
            attempt=item.message.attempt,
            ms=round(1000 * (time.monotonic() - item.taken), 1),
            work_ms=round(1000 * item.work_seconds, 1),
            key=item.entry("done", "")["key"],
        )

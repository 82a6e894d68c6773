"""The storer: writes what is ready in one go, then hands on; what failed is retried later, or buried."""

import queue
import threading
import time
from collections.abc import Sequence

from stageline import dead, line, logs, metrics, results
from stageline.errors import Rejected, Unavailable
from stageline.item import Hands, Item
from stageline.lease import Lease
from stageline.message import Message
from stageline.patience import patiently
from stageline.queue import Consumer, back_off
from stageline.settings import Settings
from stageline.stage import StoredObject
from stageline.status import stage_fields
from stageline.store import ObjectStore

AT_ONCE = 32
UNAVAILABLE_SECONDS = 5.0


class Storer(threading.Thread):
    """Takes items off ``done`` until it finds None there."""

    def __init__(self, consumer: Consumer, store: ObjectStore, hands: Hands, lease: Lease, settings: Settings) -> None:
        super().__init__(name="storer", daemon=True)
        self._consumer = consumer
        self._store = store
        self._hands = hands
        self._lease = lease
        self._settings = settings
        self._stage = consumer.stage
        self.done: queue.Queue[Item | None] = queue.Queue()

    def run(self) -> None:
        """Store and hand on until told to stop by a None."""
        ended = False
        while not ended:
            items = [self.done.get()]
            while items[-1] is not None and len(items) < AT_ONCE and not self.done.empty():
                items.append(self.done.get_nowait())
            ended = items[-1] is None
            self._settle([item for item in items if item is not None])

    def _settle(self, items: Sequence[Item]) -> None:
        ours = self._still_ours(items)
        good = [(item, self._successor(item)) for item in ours if item.error is None]
        if good:
            self._store_and_hand_on(good)
        for item in ours:
            if item.error is not None:
                self._retry_or_bury(item, item.error)
        for item in items:
            self._hands.drop(item.message.raw)

    def _still_ours(self, items: Sequence[Item]) -> list[Item]:
        """Leave out what was given away while this worker was out of touch: it must write nothing for it."""
        if self._lease.is_fresh():
            return list(items)
        held = set(patiently(self._consumer.held))
        return [item for item in items if item.message.raw in held]

    def _successor(self, item: Item) -> Message:
        entry = item.entry("done", self._consumer.identity)
        return item.message.successor(self._stage.name, entry, item.outcome.fields)

    def _objects(self, item: Item, successor: Message) -> list[StoredObject]:
        """What is to be stored of an item; at the end of the line also its results."""
        at_end = line.after(self._stage) is None
        return [*item.outcome.objects, *([results.completed(successor)] if at_end else [])]

    def _store_and_hand_on(self, good: Sequence[tuple[Item, Message]]) -> None:
        started = time.monotonic()
        objects = [stored for item, successor in good for stored in self._objects(item, successor)]
        if objects:
            patiently(lambda: self._store.put_all(objects))
        seconds = time.monotonic() - started
        status = "processing" if line.after(self._stage) else "completed"
        calls = [
            self._consumer.hand_off(
                item.message,
                successor,
                stage_fields(self._stage.name, successor.fields["stages"][self._stage.name], status),
            )
            for item, successor in good
        ]
        moved = patiently(lambda: self._consumer.scripts.run_all(calls))
        for (item, _), ours in zip(good, moved, strict=True):
            self._report(item, seconds, "done" if ours else "given away")

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

    def _retry_or_bury(self, item: Item, error: Exception) -> None:
        message = item.message
        if isinstance(error, Unavailable):
            patiently(lambda: self._consumer.delay(message.raw, message.raw, UNAVAILABLE_SECONDS))
            return
        if isinstance(error, Rejected) or message.attempt >= self._settings.max_attempts:
            self._bury(item, error)
            return
        pause = back_off(message.attempt, self._settings.retry_base_seconds, self._settings.retry_cap_seconds)
        entry = {**item.entry("retrying", self._consumer.identity), "reason": _reason(error)}
        fields = stage_fields(self._stage.name, entry)
        patiently(lambda: self._consumer.delay(message.raw, message.retried().raw, pause, message.image_id, fields))
        self._log_failure("retrying", item, error, retry_in=round(pause, 1))

    def _bury(self, item: Item, error: Exception) -> None:
        message, reason = item.message, _reason(error)
        entry = {**item.entry("failed", self._consumer.identity), "reason": reason}
        patiently(lambda: self._store.put(results.failed(message, self._stage.name, reason, entry)))
        letter = dead.letter(
            self._stage.name, message.raw, reason, item.trace, message=message, attempt=message.attempt
        )
        fields = {**dict(stage_fields(self._stage.name, entry, "failed")), "reason": reason}
        patiently(lambda: self._consumer.bury(message.raw, letter, message.image_id, fields))
        self._log_failure("buried", item, error)

    def _log_failure(self, outcome: str, item: Item, error: Exception, **more: object) -> None:
        metrics.PICTURES.labels(self._stage.name, outcome).inc()
        logs.get().error(
            outcome,
            image_id=item.message.image_id,
            stage=self._stage.name,
            attempt=item.message.attempt,
            reason=_reason(error),
            traceback=None if isinstance(error, Rejected) else item.trace,
            **more,
        )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Rejected) else f"{type(error).__name__}: {error}"

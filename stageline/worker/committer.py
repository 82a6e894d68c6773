"""The storer: writes what is ready in one go, then hands on."""

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stageline.broker import status, transitions
from stageline.broker.queue import DROPPED, GIVEN_AWAY, Consumer
from stageline.broker.redis_client import Call
from stageline.core import logs, metrics
from stageline.core.errors import Forgotten
from stageline.core.retrying import patiently
from stageline.core.settings import Settings
from stageline.maintenance.deletion import erase_objects
from stageline.pipeline import line, results
from stageline.pipeline.message import Message
from stageline.store import ObjectStore
from stageline.store.base import StoredObject
from stageline.worker.heartbeat import Lease
from stageline.worker.in_flight import Hands, Item
from stageline.worker.retries import Failures

AT_ONCE = 32
ENOUGH = 8  # pictures that are worth storing together without waiting for more
LINGER_SECONDS = 0.25


@dataclass(frozen=True)
class _Done:
    """An item that was worked on, what to store of it, the step that hands it on, and how it ends, if it does."""

    item: Item
    objects: Sequence[StoredObject]
    step: Call
    ends: str = ""


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
            if item.error is not None and not self._settle_failed(item, item.error):
                self._forget(item.message)
        for item in items:
            self._hands.drop(item.message.raw)

    def _settle_failed(self, item: Item, error: Exception) -> bool:
        """Have it retried or buried; False when its picture is to be forgotten."""
        return not isinstance(error, Forgotten) and self._failures.settle(item, error)

    def _still_ours(self, items: Sequence[Item]) -> list[Item]:
        """Leave out what was given away while this worker was out of touch: it must write nothing for it."""
        if all(self._lease.covers(item.asked) for item in items):
            return list(items)
        held = set(patiently(self._consumer.held))
        return [item for item in items if item.message.raw in held or isinstance(item.error, Forgotten)]

    def _follow_up(self, item: Item) -> _Done | None:
        """Make the message that follows; where that fails, the item has failed."""
        if item.error is not None:
            return None
        try:
            name = self._stage.name
            successor = item.message.successor(name, item.entry("done", self._consumer.identity), item.outcome.fields)
            entry = successor.fields["stages"][name]
            waits = item.message.fields.get("until") == name
            if not (self._is_last or waits):
                step = self._consumer.hand_off(item.message, successor, transitions.done(item.message, name, entry))
                return _Done(item, item.outcome.objects, step)
            document = results.document(successor, results.WAITING if waits else "completed")
            step = self._consumer.finish(item.message, transitions.ended(item.message, name, entry, document))
            said = [] if item.message.is_probe else [results.stored(document)]
            return _Done(item, [*item.outcome.objects, *said], step, document["status"])
        except Exception as error:  # noqa: BLE001 - what a stage made may be anything
            item.fail(error)
            return None

    def _store_and_hand_on(self, done: Sequence[_Done]) -> None:
        started = time.monotonic()
        good = self._not_forgotten(done)
        objects = [stored for each in good for stored in each.objects]
        try:
            patiently(lambda: self._store.put_all(objects))
        except Exception as error:  # noqa: BLE001 - one object that cannot be stored fails no neighbour
            if len(good) == 1:
                good[0].item.fail(error)
                return
            for each in good:
                self._store_and_hand_on([each])
            return
        seconds = time.monotonic() - started
        moved = patiently(lambda: self._consumer.scripts.run_all([each.step for each in good]))
        for each, answer in zip(good, moved, strict=True):
            if answer == DROPPED:
                each.item.fail(Forgotten(each.item.message.image_id))
                continue
            if answer == GIVEN_AWAY:
                self._stored_too_late(each)
            self._report(each.item, seconds, "done" if answer else "given away")

    def _not_forgotten(self, done: Sequence[_Done]) -> list[_Done]:
        """Leave out the pictures that were deleted, or sent again: nothing is stored of them."""
        forgotten = patiently(lambda: self._consumer.superseded([each.item.message for each in done]))
        for each, gone in zip(done, forgotten, strict=True):
            if gone:
                each.item.fail(Forgotten(each.item.message.image_id))
        return [each for each in done if each.item.error is None]

    def _stored_too_late(self, done: _Done) -> None:
        """Mend what was stored for a message that had been given away meanwhile, while it was being stored."""
        if not self._erase_if_deleted(done.item.message) and done.ends:
            patiently(lambda: self._consumer.doubt(done.item.message, done.ends))

    def _erase_if_deleted(self, message: Message) -> bool:
        known = patiently(lambda: status.read(self._consumer.client, message.image_id))
        deleted = known is not None and known.get("status") == "deleted"
        if deleted:
            original = message.fields.get("original_path")  # not of one that could not be read
            patiently(lambda: erase_objects(self._store, message.image_id, original))
        return deleted

    def _forget(self, message: Message) -> None:
        """Let a message go, once of a deleted picture nothing is left behind, whatever was stored in between."""
        self._erase_if_deleted(message)
        patiently(lambda: self._consumer.let_go(message.raw))
        metrics.PICTURES.labels(self._stage.name, "dropped").inc()
        logs.get().info("dropped", image_id=message.image_id, stage=self._stage.name, run=message.run)

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

"""The committer: stores the objects of finished items in one request, then runs the items' transitions."""

import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from stageline.broker import status, transitions
from stageline.broker.consumer import Consumer
from stageline.broker.redis_client import Call, Result
from stageline.core import logs, metrics
from stageline.core.errors import Forgotten
from stageline.core.retrying import SERVER_AWAY
from stageline.core.settings import Settings
from stageline.maintenance.deletion import all_folders, erase_objects
from stageline.pipeline import line, results
from stageline.pipeline.message import Message
from stageline.store import ObjectStore
from stageline.store.base import StoredObject
from stageline.worker.heartbeat import Lease
from stageline.worker.in_flight import InFlight, Item, report
from stageline.worker.retries import FailureHandler

BATCH_SIZE = 32
ENOUGH_TO_STORE = 8  # pictures; so many are stored without waiting for more
LINGER_SECONDS = 0.25


@dataclass(frozen=True)
class _Commit:
    """An item, the objects to store, its transition, and the status that ends its picture's run ("" for none)."""

    item: Item
    objects: Sequence[StoredObject]
    transition: Call
    ends: str = ""


class Committer(threading.Thread):
    """Commits the items of ``done``; a None there ends the thread."""

    def __init__(
        self, consumer: Consumer, store: ObjectStore, in_flight: InFlight, lease: Lease, settings: Settings
    ) -> None:
        super().__init__(name="committer", daemon=True)
        self._consumer = consumer
        self._store = store
        self._in_flight = in_flight
        self._lease = lease
        self._failures = FailureHandler(consumer, store, settings)
        self._stage = consumer.stage
        self._is_last = line.after(consumer.stage) is None
        self.done: queue.Queue[Item | None] = queue.Queue()

    def run(self) -> None:
        """Commit until a None is read."""
        ended = False
        while not ended:
            items = self._gather()
            ended = items[-1] is None
            self._commit_all([item for item in items if item is not None])

    def _gather(self) -> list[Item | None]:
        """Take the items that are ready; wait up to LINGER_SECONDS while others are in flight.

        Storing items one by one costs more than this wait. An item that is alone in flight does not wait.
        """
        items = [self.done.get()]
        deadline = time.monotonic() + LINGER_SECONDS
        while items[-1] is not None and len(items) < BATCH_SIZE:
            more_to_come = len(items) < ENOUGH_TO_STORE and self._in_flight.snapshot().total() > len(items)
            pause = deadline - time.monotonic() if more_to_come else 0.0
            try:
                items.append(self.done.get(timeout=pause) if pause > 0 else self.done.get_nowait())
            except queue.Empty:
                break
        return items

    def _commit_all(self, items: Sequence[Item]) -> None:
        ours = self._still_ours(items)
        good = [done for done in map(self._prepare, ours) if done is not None]
        if good:
            self._commit(good)
        for item in ours:
            is_superseded = isinstance(item.error, Forgotten)
            if item.error is not None and (is_superseded or not self._failures.handle(item, item.error)):
                self._forget(item.message)
        for item in items:
            self._in_flight.drop(item.message.raw)

    def _still_ours(self, items: Sequence[Item]) -> list[Item]:
        """Leave out the items that another worker may have got after a gap in the lease; they must not be written."""
        if all(self._lease.covers(item.asked) for item in items):
            return list(items)
        held = set(SERVER_AWAY.call(self._consumer.held))
        return [item for item in items if item.message.raw in held or isinstance(item.error, Forgotten)]

    def _prepare(self, item: Item) -> _Commit | None:
        """Compose the commit of an item; None when the item failed, or fails here."""
        if item.error is not None:
            return None
        try:
            name = self._stage.name
            successor = item.message.successor(name, item.entry("done", self._consumer.identity), item.output.fields)
            entry = successor.fields["stages"][name]
            waits = item.message.fields.get("until") == name
            if not (self._is_last or waits):
                effects = transitions.done(item.message, name, entry)
                return _Commit(item, item.output.objects, self._consumer.hand_off(item.message, successor, effects))
            document = results.document(successor, results.WAITING if waits else "completed")
            transition = self._consumer.finish(item.message, transitions.ended(item.message, name, entry, document))
            stored = [] if item.message.is_probe else [results.stored(document)]
            return _Commit(item, [*item.output.objects, *stored], transition, document["status"])
        except Exception as error:  # noqa: BLE001 - a stage's output may be anything
            item.fail(error)
            return None

    def _commit(self, done: Sequence[_Commit]) -> None:
        started = time.monotonic()
        good = self._not_forgotten(done)
        objects = [stored for each in good for stored in each.objects]
        try:
            SERVER_AWAY.call(lambda: self._store.put_all(objects))
        except Exception as error:  # noqa: BLE001 - one object that cannot be stored fails only its own item
            if len(good) == 1:
                good[0].item.fail(error)
                return
            for each in good:
                self._commit([each])
            return
        seconds = time.monotonic() - started
        moved = SERVER_AWAY.call(lambda: self._consumer.scripts.run_all([each.transition for each in good]))
        for each, answer in zip(good, moved, strict=True):
            if answer == Result.SUPERSEDED:
                each.item.fail(Forgotten(each.item.message.image_id))
                continue
            if answer == Result.NOT_HELD:
                self._stored_too_late(each)
            self._report(each.item, seconds, "done" if answer else "given away")

    def _not_forgotten(self, done: Sequence[_Commit]) -> list[_Commit]:
        """Fail the items whose pictures were deleted or sent again, and return the others."""
        superseded = SERVER_AWAY.call(lambda: self._consumer.superseded([each.item.message for each in done]))
        for each, is_superseded in zip(done, superseded, strict=True):
            if is_superseded:
                each.item.fail(Forgotten(each.item.message.image_id))
        return [each for each in done if each.item.error is None]

    def _stored_too_late(self, done: _Commit) -> None:
        """Correct the effects of storing objects for a message that another worker got meanwhile."""
        if not self._erase_if_deleted(done.item.message) and done.ends:
            SERVER_AWAY.call(lambda: self._consumer.recheck(done.item.message, done.ends))

    def _erase_if_deleted(self, message: Message) -> bool:
        known = SERVER_AWAY.call(lambda: status.read(self._consumer.client, message.image_id))
        deleted = known is not None and known.get("status") == "deleted"
        if deleted:
            original = message.fields.get("original_path")  # a message that could not be decoded has none
            folders = SERVER_AWAY.call(lambda: all_folders(self._consumer.client))
            SERVER_AWAY.call(lambda: erase_objects(self._store, message.image_id, original, folders))
        return deleted

    def _forget(self, message: Message) -> None:
        """Drop a superseded message; before that, erase the objects of its picture if that was deleted."""
        self._erase_if_deleted(message)
        SERVER_AWAY.call(lambda: self._consumer.let_go(message.raw))
        metrics.PICTURES.labels(self._stage.name, "dropped").inc()
        logs.get().info("dropped", image_id=message.image_id, stage=self._stage.name, run=message.run)

    def _report(self, item: Item, store_seconds: float, outcome: str) -> None:
        for step, seconds in (("fetch", item.fetch_seconds), ("work", item.work_seconds), ("store", store_seconds)):
            metrics.STEP_SECONDS.labels(self._stage.name, step).observe(seconds)
        ms, work_ms = round(1000 * (time.monotonic() - item.taken), 1), round(1000 * item.work_seconds, 1)
        report(logging.INFO, outcome, item, self._stage.name, ms=ms, work_ms=work_ms, key=item.entry("done", "")["key"])

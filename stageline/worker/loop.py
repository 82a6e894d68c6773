"""The worker loop: prefetch, work, commit, in threads that do not wait for each other.

The prefetcher pops messages and has their objects fetched, up to ``PREFETCH`` ahead. The main thread does the stage's
work. The committer stores the output and runs the transitions. The lease sends heartbeats. An unexpected error in any
of these threads ends the process; its messages go back to the queue when the lease has expired.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence

from stageline.broker.consumer import Consumer
from stageline.core import logs, metrics
from stageline.core.errors import Unavailable
from stageline.core.retrying import SERVER_AWAY
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.pipeline.stage import Task, Work
from stageline.store import ObjectStore
from stageline.worker.committer import Committer
from stageline.worker.heartbeat import Lease
from stageline.worker.in_flight import InFlight, Item
from stageline.worker.prefetcher import Prefetcher

READY_SECONDS = 0.2


class Worker:
    """The worker of one stage in one process."""

    def __init__(
        self, stage: line.Stage, work: Work, store: ObjectStore, settings: Settings, models: Callable[[], str] = str
    ) -> None:
        self._work = work
        self._settings = settings
        self._stopping = threading.Event()
        self._stage = stage
        self.consumer = Consumer(settings.redis_url, stage, settings.worker_id, settings.status_ttl)
        self._in_flight = InFlight(settings.prefetch)
        metrics.HELD.labels(stage.name).set_function(lambda: self._in_flight.snapshot().total())
        self._lease = Lease(self.consumer, settings.lease_seconds, settings.work_timeout, models)
        self._prefetcher = Prefetcher(self.consumer, store, work, self._in_flight, self._lease, settings)
        self._committer = Committer(self.consumer, store, self._in_flight, self._lease, settings)

    def stop(self) -> None:
        """Take no more messages, finish the present batch, return the rest. Safe to call from a signal handler."""
        self._stopping.set()
        self._prefetcher.stopping.set()

    def run(self) -> None:
        """Work until stopped."""
        try:
            SERVER_AWAY.call(self._lease.renew, self._stopping)  # leased before the first pop
        except Unavailable:
            return  # stopped before Redis was reached
        logs.get().info("started", stage=self._stage.name, worker=self.consumer.identity)
        for thread in (self._lease, self._prefetcher, self._committer):
            thread.start()
        while not self._stopping.is_set():
            batch = self._next_batch()
            if batch:
                self._work_on(batch)
        self._wind_up()

    def _next_batch(self) -> list[Item]:
        """Wait up to READY_SECONDS for an item, and take others that are ready, up to the stage's batch size."""
        batch: list[Item] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._prefetcher.ready.get(timeout=READY_SECONDS))
            while len(batch) < self._work.batch_size:
                batch.append(self._prefetcher.ready.get_nowait())
        return batch

    def _work_on(self, batch: Sequence[Item]) -> None:
        """Process a batch, and pass its items to the committer."""
        if fetched := [item for item in batch if item.error is None]:
            self._attempt(fetched)
        for item in batch:
            self._committer.done.put(item)

    def _attempt(self, items: Sequence[Item]) -> None:
        """Do the stage's work on a batch; when that fails, on each item alone."""
        started = self._lease.busy_since = time.monotonic()
        try:
            outputs = self._work.run([Task(item.message, item.inputs) for item in items])
            for item, output in zip(items, outputs, strict=True):
                item.output = output
                item.work_seconds = (time.monotonic() - started) / len(items)
        except Exception as error:  # noqa: BLE001 - the failure of one picture stops no worker
            if len(items) == 1:
                items[0].fail(error)
            else:
                for item in items:
                    self._attempt([item])
        finally:
            self._lease.busy_since = None

    def _wind_up(self) -> None:
        """Commit finished items, return the other messages to the queue, and leave; the servers may be away."""
        deadline = time.monotonic() + self._settings.shutdown_seconds
        self._committer.done.put(None)
        self._prefetcher.join(self._settings.shutdown_seconds)
        self._committer.join(max(0.0, deadline - time.monotonic()))
        unbegun: list[bytes] = []
        try:
            unbegun = self.consumer.held()  # also items that could not be stored in time; none of them costs an attempt
            for raw in reversed(unbegun):  # in reverse, so that the order of the queue is kept
                self.consumer.put_back(raw)
            self._lease.end()
            self.consumer.leave()
        except Unavailable as error:
            logs.get().warning("left", reason=f"{error}; what was held goes back when the lease has run out")
        logs.get().info("stopped", stage=self._stage.name, returned=len(unbegun))

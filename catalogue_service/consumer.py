"""The consumer loop: applies outbox events to the catalogue, and only then removes them from their list in Redis."""

import contextlib
import threading
from typing import cast

from prometheus_client import Counter, Gauge

from catalogue_service.lease import KEY, WriterLease
from stageline.broker.keys import OUTCOMES
from stageline.broker.redis_client import Call, Given, Scripts, connect, reaching_redis
from stageline.catalogue.writer import Writer
from stageline.core.errors import Unavailable
from stageline.core.retrying import SERVER_AWAY

BATCH_SIZE = 500
READ_AT_ONCE = 50  # read in pieces: a batch ends above MAX_BYTES
MAX_BYTES = 16 * 1024 * 1024
POLL_SECONDS = 0.2
STANDBY_SECONDS = 1.0

APPLIED = Counter("stageline_outcomes_total", "Outcomes that the catalogue took off its list, by result.", ["result"])
BACKLOG = Gauge("stageline_outcomes_waiting", "Outcomes that the catalogue has yet to write down.")


class OutboxConsumer:
    """Consumes outbox events in batches; applying a batch again after a crash changes nothing."""

    def __init__(self, redis_url: str, writer: Writer, lease: WriterLease) -> None:
        self._client = connect(redis_url)
        self._scripts = Scripts(self._client)
        self._writer = writer
        self._lease = lease
        self._ended = threading.Event()
        self._waits_for: str | None = "its tables are being looked at"

    def check(self) -> None:
        """Check that events are applied, by this process or by the one that holds the lease.

        Raises:
            Unavailable: no process applies them.
        """
        if self._waits_for is not None:
            raise Unavailable(f"the catalogue is not written now: {self._waits_for}")
        self._lease.check()

    def run(self) -> None:
        """Consume until ended; wait without limit while Redis, the database or the bucket is away."""
        while not self._ended.is_set():
            with contextlib.suppress(Unavailable):  # ended meanwhile
                SERVER_AWAY.call(self._step_if_held, self._ended, self._note_outage)

    def _step_if_held(self) -> None:
        is_held = self._lease.wait(STANDBY_SECONDS)
        taken = self.step() if is_held else 0
        self._waits_for = None
        if is_held and not taken:
            self._ended.wait(POLL_SECONDS)

    def _note_outage(self, error: BaseException) -> None:
        self._waits_for = str(error)

    def end(self) -> None:
        """Stop after the current batch."""
        self._ended.set()

    def step(self) -> int:
        """Apply one batch and remove it from the list; return the number of its events.

        Raises:
            Unavailable: Redis, the database or the bucket is away; nothing was removed.
        """
        batch = self._read()
        if not batch:
            BACKLOG.set(0)
            return 0
        applied = self._writer.apply(batch)
        ours: Given = {"identity": self._lease.identity, "count": len(batch), "first": batch[0], "last": batch[-1]}
        if not self._scripts.run(Call("trim_outcomes", writer=KEY, **ours)):
            self._lease.renew()  # another process may hold the lease now
            return 0
        for result, count in vars(applied).items():
            APPLIED.labels(result).inc(count)
        return len(batch)

    def _read(self) -> list[bytes]:
        batch: list[bytes] = []
        with reaching_redis():
            BACKLOG.set(self._client.llen(OUTCOMES))
            while len(batch) < BATCH_SIZE and sum(map(len, batch)) < MAX_BYTES:
                begin = len(batch)
                more = cast("list[bytes]", self._client.lrange(OUTCOMES, begin, begin + READ_AT_ONCE - 1))
                batch += more
                if len(more) < READ_AT_ONCE:
                    break
        return batch

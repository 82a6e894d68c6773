"""The prefetcher: pops messages into the worker's in-flight list, and has the objects that they need fetched ahead."""

import contextlib
import queue
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from stageline.broker import dead_letters, transitions
from stageline.broker.consumer import Consumer
from stageline.broker.redis_client import Result
from stageline.core import logs, threads
from stageline.core.errors import BadMessage, Forgotten, NewerMessage, Rejected, Unavailable, UnknownFolder
from stageline.core.retrying import NEWER_MESSAGE, SERVER_AWAY
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.pipeline.arrival import without_future_times
from stageline.pipeline.message import Message
from stageline.pipeline.stage import Work
from stageline.store import ObjectStore
from stageline.worker.heartbeat import Lease
from stageline.worker.in_flight import InFlight, Item

POP_SECONDS = 1.0
FETCHERS = 4
STRAYS_SECONDS = 5.0
NEVER = float("-inf")
STAGES = frozenset(stage.name for stage in line.LINE)


class Prefetcher(threading.Thread):
    """Prefetches while the worker may hold more; a message that failed before, or is of a large picture, only alone."""

    def __init__(
        self, consumer: Consumer, store: ObjectStore, work: Work, in_flight: InFlight, lease: Lease, settings: Settings
    ) -> None:
        super().__init__(name="prefetcher", daemon=True)
        self._consumer = consumer
        self._store = store
        self._work = work
        self._in_flight = in_flight
        self._lease = lease
        self._settings = settings
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetcher")
        self._prefetched: deque[tuple[bytes, float]] = deque()  # and not looked at yet, each with when it was asked for
        self._begun: list[Item] = []  # and not noted as such yet
        self._may_have_strays, self._looked = False, time.monotonic()
        self.stopping = threading.Event()
        self.ready: queue.Queue[Item] = queue.Queue()

    def run(self) -> None:
        """Take until told to stop."""
        while not self.stopping.is_set():
            with contextlib.suppress(Unavailable):  # stopped meanwhile
                SERVER_AWAY.call(self._take, self.stopping, self._expect_strays)
        self._fetch_begun()
        self._fetchers.shutdown()

    def _take(self) -> None:
        if self._in_flight.wait_for_room(POP_SECONDS):
            self._pop()
            while self._prefetched:
                self._decode(*self._prefetched[0])
                self._prefetched.popleft()
        self._fetch_begun()

    def _expect_strays(self, _: BaseException) -> None:
        self._may_have_strays = True

    def _pop(self) -> None:
        """Wait for a message, and take what else there is room for; after a broken connection, look for strays first.

        A stray is a message that the server popped for us while its answer was lost. The server may be in the middle of
        such a pop while we look, so there is a look every few seconds, too.
        """
        if not self._lease.is_fresh():
            self._lease.renew()  # what is popped under an expired lease might be returned by nobody
        if self._may_have_strays or time.monotonic() - self._looked > STRAYS_SECONDS:
            self._prefetched = deque((raw, NEVER) for raw in self._strays())
            self._may_have_strays, self._looked = False, time.monotonic()
        if self._prefetched:
            return
        asked = time.monotonic()
        first = self._consumer.take(POP_SECONDS)
        if first is not None:
            self._prefetched.append((first, asked))
            self._prefetched.extend((raw, asked) for raw in self._consumer.take_more(self._in_flight.room() - 1))

    def _strays(self) -> list[bytes]:
        known, strays = self._in_flight.snapshot(), []
        for raw in self._consumer.held():
            if known[raw]:
                known[raw] -= 1
            else:
                strays.append(raw)
        return strays

    def _decode(self, raw: bytes, asked: float) -> None:
        try:
            message = without_future_times(Message.decode(raw))
        except NewerMessage as error:
            self._put_aside(raw, str(error))
        except BadMessage as error:
            if isinstance(error, UnknownFolder) and self._consumer.is_announced(f"{error.folder}/"):
                self._put_aside(raw, f"it names an object in {error.folder}/, which only newer workers know")
            else:
                self._refuse(raw, asked, error)
        else:
            until = message.fields.get("until")
            if until and until not in STAGES and self._consumer.is_announced(until):
                self._put_aside(raw, f"it is to wait after {until}, which only newer workers know")
                return
            most = self._settings.max_attempts
            if message.attempt > most:
                died = f"its worker died, or was lost, at attempt {most} of {most}"
                self._refuse(raw, asked, Rejected(died), message)
            elif self._must_be_alone(message):
                self._pass_on_alone(Item(message, asked))
            else:
                self._pass_on(Item(message, asked))

    def _put_aside(self, raw: bytes, reason: str) -> None:
        """Have a message wait, as it is, for a worker of a newer version."""
        logs.get().warning("put aside", stage=self._consumer.stage.name, reason=reason)
        self._consumer.delay(raw, raw, NEWER_MESSAGE.pause(1))

    def _refuse(self, raw: bytes, asked: float, error: Rejected, message: Message | None = None) -> None:
        """Have a message dead-lettered: as a failed picture where its id can be read, else by its bytes alone."""
        message = message or Message.salvage(raw)
        if message is None:
            logs.get().error("buried", stage=self._consumer.stage.name, reason=str(error))
            self._consumer.dead_letter(raw, dead_letters.encode(self._consumer.stage.name, raw, str(error)))
            return
        item = Item(message, asked)
        item.fail(error)
        self._in_flight.add(raw)
        self.ready.put(item)

    def _must_be_alone(self, message: Message) -> bool:
        """A poison picture takes no neighbour with it, and large ones do not add up in memory."""
        return message.attempt > 1 or message.pixels is None or message.pixels > self._settings.large_pixels

    def _pass_on_alone(self, item: Item) -> None:
        self._fetch_begun()
        self._give_back_all_but_first()
        if self._wait_until_empty():
            self._pass_on(item)
            self._fetch_begun()
            self._wait_until_empty()

    def _give_back_all_but_first(self) -> None:
        """Hold nothing beside what must be alone: a crash would count for it as well."""
        while len(self._prefetched) > 1:
            self._consumer.put_back(self._prefetched[-1][0])
            self._prefetched.pop()

    def _wait_until_empty(self) -> bool:
        while not self.stopping.is_set():
            if self._in_flight.wait_until_empty(POP_SECONDS):
                return True
        return False

    def _pass_on(self, item: Item) -> None:
        self._begun.append(item)
        self._in_flight.add(item.message.raw)

    def _fetch_begun(self) -> None:
        """Note in one go what is begun, and have its objects fetched."""
        items, self._begun = self._begun, []
        if not items:
            return
        stage, worker = self._consumer.stage.name, self._consumer.identity
        noted = [
            (item.message, transitions.begun(item.message, stage, item.entry("working", worker))) for item in items
        ]
        answers: list[int] = [Result.DONE] * len(items)
        with contextlib.suppress(Unavailable):  # stopped meanwhile: what is not fetched is given back
            answers = SERVER_AWAY.call(lambda: self._consumer.begin(noted), self.stopping)
        for item, answer in zip(items, answers, strict=True):
            if answer == Result.SUPERSEDED:
                item.fail(Forgotten(item.message.image_id))
                self.ready.put(item)
            else:
                threads.submit(self._fetchers, self._fetch, item)

    def _fetch(self, item: Item) -> None:
        """Fetch what the stage needs, however long the store is away; on a stop the item goes on without."""
        try:
            started = time.monotonic()
            keys = self._work.inputs(item.message)
            item.inputs = SERVER_AWAY.call(
                lambda: {name: self._store.get(key) for name, key in keys.items()}, self.stopping
            )
            item.fetch_seconds = time.monotonic() - started
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this picture's and stops no other
            item.fail(error)
        self.ready.put(item)

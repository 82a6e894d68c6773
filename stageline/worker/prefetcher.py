"""The prefetcher: pops messages into the worker's in-flight list, and fetches their objects ahead of the work."""

import contextlib
import queue
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor

from stageline.broker import dead_letters, transitions
from stageline.broker.consumer import Consumer
from stageline.broker.redis_client import Result
from stageline.core import logs, metrics, threads
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
    """Prefetches up to ``PREFETCH`` messages; a retried message, or one of a large picture, is processed alone."""

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
        self._prefetched: deque[tuple[bytes, float]] = deque()  # not decoded yet, each with when its pop was sent
        self._begun: list[Item] = []  # not recorded in Redis yet
        self._may_have_strays, self._looked = False, time.monotonic()
        self.stopping = threading.Event()
        self.ready: queue.Queue[Item] = queue.Queue()

    def run(self) -> None:
        """Prefetch until stopped."""
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
        """Wait for a message, and take more as far as there is room; after a broken connection, look for strays first.

        A stray is a message that the server popped for this worker while its answer was lost. Such a pop may still be
        in progress during the search, so the search is repeated every few seconds.
        """
        if not self._lease.is_fresh():
            self._lease.renew()  # the reaper might never return a message popped under an expired lease
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
        return list((Counter(self._consumer.held()) - self._in_flight.snapshot()).elements())

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
        """Delay a message unchanged, for a worker of a newer version."""
        logs.get().warning("put aside", stage=self._consumer.stage.name, reason=reason)
        self._consumer.delay(raw, raw, NEWER_MESSAGE.pause(1))

    def _refuse(self, raw: bytes, asked: float, error: Rejected, message: Message | None = None) -> None:
        """Dead-letter a message, as a failed picture when its id can be read, else as bytes alone."""
        message = message or Message.salvage(raw)
        if message is None:
            logs.get().error(metrics.DEAD_LETTERED, stage=self._consumer.stage.name, reason=str(error))
            self._consumer.dead_letter(raw, dead_letters.encode(self._consumer.stage.name, raw, str(error)))
            return
        item = Item(message, asked)
        item.fail(error)
        self._in_flight.add(raw)
        self.ready.put(item)

    def _must_be_alone(self, message: Message) -> bool:
        """Whether a message is processed alone: it may crash the worker, or its picture is large in memory."""
        return message.attempt > 1 or message.pixels is None or message.pixels > self._settings.large_pixels

    def _pass_on_alone(self, item: Item) -> None:
        self._fetch_begun()
        self._give_back_all_but_first()
        if self._wait_until_empty():
            self._pass_on(item)
            self._fetch_begun()
            self._wait_until_empty()

    def _give_back_all_but_first(self) -> None:
        """Return all other messages to the queue, as a crash would count as an attempt for them too."""
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
        """Record the begun items in one round trip, and have their objects fetched."""
        items, self._begun = self._begun, []
        if not items:
            return
        stage, worker = self._consumer.stage.name, self._consumer.identity
        begun = [(it.message, transitions.begun(it.message, stage, it.entry("working", worker))) for it in items]
        answers: list[int] = [Result.DONE] * len(items)
        with contextlib.suppress(Unavailable):  # stopped meanwhile: the messages go back to the queue
            answers = SERVER_AWAY.call(lambda: self._consumer.begin(begun), self.stopping)
        for item, answer in zip(items, answers, strict=True):
            if answer == Result.SUPERSEDED:
                item.fail(Forgotten(item.message.image_id))
                self.ready.put(item)
            else:
                threads.submit(self._fetchers, self._fetch, item)

    def _fetch(self, item: Item) -> None:
        """Fetch the stage's inputs, waiting for the store; after a stop the item fails."""
        try:
            started = time.monotonic()
            keys = self._work.inputs(item.message)
            item.inputs = SERVER_AWAY.call(
                lambda: {name: self._store.get(key) for name, key in keys.items()}, self.stopping
            )
            item.fetch_seconds = time.monotonic() - started
        except Exception as error:  # noqa: BLE001 - the failure of one picture stops no other
            item.fail(error)
        self.ready.put(item)

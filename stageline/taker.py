"""The taker: pops messages into the worker's in-flight list, and has the objects they need fetched ahead."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from stageline import dead, logs
from stageline.errors import BadMessage, NewerMessage, Unavailable
from stageline.item import Hands, Item
from stageline.message import Message
from stageline.patience import Answer, Patience, patiently
from stageline.queue import Consumer
from stageline.settings import Settings
from stageline.stage import Work
from stageline.status import stage_fields
from stageline.store import ObjectStore

TAKE_SECONDS = 1.0
FETCHERS = 4
NEWER_MESSAGE_SECONDS = 30.0


class Taker(threading.Thread):
    """Takes while there is room in the worker's hands; what failed before, or is large, only alone."""

    def __init__(self, consumer: Consumer, store: ObjectStore, work: Work, hands: Hands, settings: Settings) -> None:
        super().__init__(name="taker", daemon=True)
        self._consumer = consumer
        self._store = store
        self._work = work
        self._hands = hands
        self._settings = settings
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetcher")
        self._stray: list[bytes] = []
        self._may_have_strays = False
        self.stopping = threading.Event()
        self.ready: queue.Queue[Item] = queue.Queue()

    def run(self) -> None:
        """Take until told to stop."""
        patience = Patience()
        while not self.stopping.is_set():
            try:
                if self._hands.wait_for_room(TAKE_SECONDS):
                    raw = self._next()
                    if raw is not None:
                        self._receive(raw)
                patience.reset()
            except Unavailable as error:
                self._may_have_strays = True
                patience.wait(error)
        self._fetchers.shutdown()

    def _next(self) -> bytes | None:
        """Pop a message; after a broken connection, first look for pops whose answers were lost with it."""
        if self._may_have_strays:
            known = self._hands.snapshot()
            self._stray = []
            for raw in self._consumer.held():
                if known[raw]:
                    known[raw] -= 1
                else:
                    self._stray.append(raw)
            self._may_have_strays = False
        return self._stray.pop() if self._stray else self._consumer.take(TAKE_SECONDS)

    def _receive(self, raw: bytes) -> None:
        try:
            message = Message.decode(raw)
        except NewerMessage as error:
            logs.get().warning("put aside", reason=str(error))
            self._consumer.delay(raw, raw, NEWER_MESSAGE_SECONDS)
            return
        except BadMessage as error:
            logs.get().error("buried", reason=str(error))
            self._consumer.bury(raw, dead.letter(self._consumer.stage.name, raw, str(error)), "", ())
            return
        if self._must_be_alone(message):
            self._pass_on_alone(message)
        else:
            self._pass_on(message)

    def _must_be_alone(self, message: Message) -> bool:
        """A poison picture takes no neighbour with it, and large ones do not add up in memory."""
        return message.attempt > 1 or message.pixels is None or message.pixels > self._settings.large_pixels

    def _pass_on_alone(self, message: Message) -> None:
        if self._wait_until_empty():
            self._pass_on(message)
            self._wait_until_empty()
        else:
            self._consumer.put_back(message.raw)

    def _wait_until_empty(self) -> bool:
        while not self.stopping.is_set():
            if self._hands.wait_until_empty(TAKE_SECONDS):
                return True
        return False

    def _pass_on(self, message: Message) -> None:
        item = Item(message)
        self._hands.add(message.raw)
        self._fetchers.submit(self._fetch, item)

    def _fetch(self, item: Item) -> None:
        """Fetch what the stage needs, however long the store is away; on a stop the item goes on without."""
        try:
            entry = item.entry("working", self._consumer.identity)
            self._patiently(lambda: self._consumer.begin(item.message, stage_fields(self._consumer.stage.name, entry)))
            started = time.monotonic()
            keys = self._work.inputs(item.message)
            item.inputs = self._patiently(lambda: {name: self._store.get(key) for name, key in keys.items()})
            item.fetch_seconds = time.monotonic() - started
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this picture's and stops no other
            item.fail(error)
        self.ready.put(item)

    def _patiently(self, step: Callable[[], Answer]) -> Answer:
        return patiently(step, self.stopping.is_set)

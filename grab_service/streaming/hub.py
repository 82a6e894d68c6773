"""Passes events to all watchers: one thread reads the stream of events and distributes them.

A watcher holds a thread of gunicorn, so their number is limited. A watcher that reads too slowly is cut off, and can
resume: the stream keeps the newest 20,000 events, each with an id.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import cast

from flask import current_app, request

from grab_service.api.connections import STOPPING, DeadlineSocket
from grab_service.api.problems import NoPlace
from stageline.broker import events
from stageline.broker.events import Event
from stageline.broker.redis_client import connect
from stageline.core.errors import Unavailable
from stageline.core.retrying import HEARTBEAT

PLACES = 64  # half of gunicorn's threads
MAX_BEHIND = 2000  # events that wait for one reader
BLOCK_MS = 5000
BATCH_SIZE = 500


class Watcher:
    """A client that watches one picture or all."""

    def __init__(self, hub: "Hub", image_id: str | None, is_gone: Callable[[], bool]) -> None:
        self.image_id = image_id
        self._is_gone = is_gone
        self._hub = hub
        self._behind: queue.Queue[Event] = queue.Queue(MAX_BEHIND)
        self.cut_off = False
        self.missed = False  # Redis was away meanwhile: events may be lost

    def put(self, event: Event) -> None:
        """Queue an event for the client, unless it is of another picture."""
        if self.image_id in (None, event.image_id) and not self.cut_off:
            try:
                self._behind.put_nowait(event)
            except queue.Full:
                self.cut_off = True

    def next(self, seconds: float) -> Event | None:
        """Wait up to ``seconds`` for the next event; None without one."""
        try:
            return self._behind.get(timeout=seconds)
        except queue.Empty:
            return None

    @property
    def over(self) -> bool:
        """Whether watching ends: the process stops, or the client did not keep up or has left."""
        return STOPPING.is_set() or self.cut_off or self._is_gone()

    def leave(self) -> None:
        """Stop watching; may be repeated."""
        self._hub.leave(self)


class Hub:
    """Reads the stream of events from the first watcher on."""

    def __init__(self, redis_url: str) -> None:
        self._client = connect(redis_url)
        self._lock = threading.Lock()
        self._watchers: set[Watcher] = set()
        self._reader: threading.Thread | None = None
        self._after = events.START
        self._is_away = False  # the last read failed

    def watch(self, image_id: str | None = None, is_gone: Callable[[], bool] = lambda: False) -> Watcher:
        """Begin to watch: the watcher gets all events from now on, until ``is_gone`` returns true.

        Raises:
            NoPlace: all places are taken.
            Unavailable: Redis is away.
        """
        watcher = Watcher(self, image_id, is_gone)
        with self._lock:
            if len(self._watchers) >= PLACES:
                raise NoPlace(f"{PLACES} connections follow events already, all that a process takes; try again soon")
            if self._reader is None:
                self._after = events.newest(self._client)
                self._reader = threading.Thread(target=self._read, name="events", daemon=True)
                self._reader.start()
            elif self._is_away:
                events.newest(self._client)
            self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Remove a watcher."""
        with self._lock:
            self._watchers.discard(watcher)

    def newest(self) -> str:
        """Return the id of the newest event."""
        return events.newest(self._client)

    def place_of(self, after: str) -> tuple[str, bool]:
        """Return the id to resume after, and whether events since then are no longer kept.

        An id newer than all events, as from another Redis, counts as the newest.
        """
        newest = events.newest(self._client)
        if events.is_after(after, newest):
            return newest, False
        return after, events.is_trimmed(self._client, after)

    def since(self, after: str, image_id: str | None) -> Iterator[Event]:
        """Yield the events after that one, of one picture or of all."""
        while found := events.read(self._client, after, BATCH_SIZE):
            after = found[-1].id
            yield from (event for event in found if image_id in (None, event.image_id))

    def _read(self) -> None:
        while not STOPPING.is_set():
            try:
                found = HEARTBEAT.call(self._read_more, STOPPING, self._note_absence)
            except Unavailable:
                return  # stopped meanwhile
            with self._lock:
                self._is_away = False
                watchers = list(self._watchers)
            for event in found:
                self._after = event.id
                for watcher in watchers:
                    watcher.put(event)

    def _read_more(self) -> list[Event]:
        return events.read(self._client, self._after, BATCH_SIZE, BLOCK_MS)

    def _note_absence(self, _: BaseException) -> None:
        """End the streams: their clients reconnect and get the error."""
        with self._lock:
            self._is_away = True
            for watcher in self._watchers:
                watcher.missed = True


def hub() -> Hub:
    """Return the hub of the running application."""
    return cast("Hub", current_app.config["HUB"])


def watch(image_id: str | None = None) -> Watcher:
    """Begin to watch for the client of this request; see `Hub.watch`."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, DeadlineSocket):
        return hub().watch(image_id, connection.is_gone)
    return hub().watch(image_id)

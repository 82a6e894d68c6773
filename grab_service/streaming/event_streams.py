"""Follows pictures: as server-sent events, as JSON lines after an upload, or by waiting for the results."""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from grab_service.api.answers import written
from grab_service.api.problems import NotKnown
from grab_service.images.lookup import PictureLookup
from grab_service.streaming.hub import Hub, Watcher
from stageline.broker.events import Event, is_after
from stageline.core.errors import Unavailable
from stageline.pipeline.results import MOVING

KEEP_ALIVE_SECONDS = 10.0
LOOK_SECONDS = 2.0  # between two reads of the status: an event may have been lost with Redis
WAKE_SECONDS = 1.0
FOLLOW_SECONDS = 300.0
LAST = ("waiting", "completed", "failed", "deleted")
RETRY = "retry: 2000\n\n"
KEEP_ALIVE = ": keep-alive\n\n"
GAP = 'event: gap\ndata: {"detail": "some of what happened since Last-Event-ID is not kept any more"}\n\n'


def stream(hub: Hub, watcher: Watcher, after: str | None) -> Iterator[str]:
    """Yield all events from now on, or after the event with id ``after``."""
    yield RETRY
    last = after
    if after is not None:
        last, gap = hub.place_of(after)
        if gap:
            yield GAP
        for missed in hub.since(last, None):
            last = missed.id
            yield as_sse(missed)
    for event in _coming(watcher):
        if event is None:
            yield KEEP_ALIVE
        elif last is None or is_after(event.id, last):
            yield as_sse(event)


def stream_one(hub: Hub, watcher: Watcher, lookup: PictureLookup, after: str | None) -> Iterator[str] | None:
    """Yield the status and the events of a picture until its end; None if the client has had all of them.

    Raises:
        NotKnown: there is no such picture.
    """
    image_id = str(watcher.image_id)
    newest, gap = hub.newest(), False
    if after is not None:
        after, gap = hub.place_of(after)
    body = lookup.status(image_id)
    if body["image_id"] != image_id:
        raise NotKnown(f"events are told by id: that of the picture called so is {body['image_id']}")
    if gap:  # the status replaces the missing events
        return itertools.chain([RETRY, GAP], _to_the_end(watcher, body, [], newest, snapshot=True))
    missed = list(hub.since(after, image_id)) if after is not None else []
    if after is not None and body["status"] not in MOVING and not missed:
        return None
    return _to_the_end(watcher, body, missed, newest if after is None else after, snapshot=after is None)


def _to_the_end(
    watcher: Watcher, body: Mapping[str, Any], missed: list[Event], last: str, *, snapshot: bool
) -> Iterator[str]:
    yield RETRY
    if snapshot:
        yield f"id: {last}\nevent: status\ndata: {written(body, None).decode()}\n\n"
        if body["status"] not in MOVING:
            return
    for before in missed:
        last = before.id
        yield as_sse(before)
    if missed and missed[-1].type in LAST:
        return
    for event in _coming(watcher):
        if event is None:
            yield KEEP_ALIVE
        elif is_after(event.id, last):
            yield as_sse(event)
            if event.type in LAST:
                return


def as_sse(event: Event) -> str:
    """Return a server-sent event; its data is one line."""
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.data}\n\n"


def wait(watcher: Watcher, lookup: PictureLookup, seconds: float) -> dict[str, Any] | None:
    """Wait up to ``seconds`` until a picture has ended; return its status then, else None.

    Raises:
        NotKnown: the picture was deleted meanwhile.
    """
    end = _ended(lookup, str(watcher.image_id))
    for event in _until(watcher, time.monotonic() + seconds):
        if end is None and (event is None or event.type in LAST):
            end = _ended(lookup, str(watcher.image_id))
        if end is not None:
            break
    return end


def follow(
    watcher: Watcher, lookup: PictureLookup, accepted: Mapping[str, Any], link: Callable[[str], str], seconds: float
) -> Iterator[bytes]:
    """Yield each stage of a picture as it happens, and at the end the results; one JSON object per line.

    If the status shows the end before its event has arrived, the events have until the next read of the status.
    """
    image_id = str(watcher.image_id)
    yield _line({"event": "accepted", **accepted})
    end = _end_of(lookup, image_id) if accepted.get("duplicate") else None
    for event in () if end else _until(watcher, time.monotonic() + seconds):
        if event is not None and event.type == "stage":
            yield _line({"event": "stage", **json.loads(event.data)})
        if event is None and end is not None:
            break
        if event is None or event.type in LAST:
            end = _end_of(lookup, image_id)
            if event is not None and end is not None:
                break
    event_name = end["status"] if end else "timeout"
    tagged = link(image_id) if event_name == "completed" else None
    results = end and end["results"]
    yield _line({"event": event_name, "image_id": image_id, "results": results, "tagged_image": tagged})


def _line(content: Mapping[str, Any]) -> bytes:
    return written(content, None) + b"\n"


def _ended(lookup: PictureLookup, image_id: str) -> dict[str, Any] | None:
    """Return the status of an ended picture; None while it moves, or while a server is away."""
    try:
        body = lookup.status(image_id)
    except Unavailable:
        return None
    return None if body["status"] in MOVING else body


def _end_of(lookup: PictureLookup, image_id: str) -> dict[str, Any] | None:
    """Return the same for a picture that may have been deleted."""
    try:
        return _ended(lookup, image_id)
    except NotKnown:
        return {"status": "deleted", "results": None}


def _until(watcher: Watcher, deadline: float) -> Iterator[Event | None]:
    """Yield events, and None when the status must be read; end at the deadline."""
    while not watcher.over and (left := deadline - time.monotonic()) > 0:
        yield watcher.next(min(LOOK_SECONDS, left))
    yield None


def _coming(watcher: Watcher) -> Iterator[Event | None]:
    """Yield events, and None after a silence of KEEP_ALIVE_SECONDS; end when the watcher is over."""
    silent_since = time.monotonic()
    while not (watcher.over or watcher.missed):
        event = watcher.next(WAKE_SECONDS)
        if event is not None or time.monotonic() - silent_since >= KEEP_ALIVE_SECONDS:
            silent_since = time.monotonic()
            yield event

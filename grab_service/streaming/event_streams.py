"""Following pictures: as server-sent events, as lines of JSON after an upload, or by waiting for the results."""

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
LOOK_SECONDS = 2.0  # between two looks at the status itself: an event may have been lost with Redis
WAKE_SECONDS = 1.0
FOLLOW_SECONDS = 300.0
LAST = ("waiting", "completed", "failed", "deleted")
RETRY = "retry: 2000\n\n"
KEEP_ALIVE = ": keep-alive\n\n"
GAP = 'event: gap\ndata: {"detail": "some of what happened since Last-Event-ID is not kept any more"}\n\n'


def stream(hub: Hub, watcher: Watcher, after: str | None) -> Iterator[str]:
    """Tell all events from now on, or from after one that was told before."""
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
    """Tell how one picture stands and what happens to it, to its end; None where that was all told before.

    Raises:
        NotKnown: there is no such picture.
    """
    image_id = str(watcher.image_id)
    newest, gap = hub.newest(), False
    if after is not None:
        after, gap = hub.place_of(after)
    told = lookup.status(image_id)
    if told["image_id"] != image_id:
        raise NotKnown(f"events are told by id: that of the picture called so is {told['image_id']}")
    if gap:  # how it stands makes up for what is missing
        return itertools.chain([RETRY, GAP], _to_the_end(watcher, told, [], newest, snapshot=True))
    missed = list(hub.since(after, image_id)) if after is not None else []
    if after is not None and told["status"] not in MOVING and not missed:
        return None
    return _to_the_end(watcher, told, missed, newest if after is None else after, snapshot=after is None)


def _to_the_end(
    watcher: Watcher, told: Mapping[str, Any], missed: list[Event], last: str, *, snapshot: bool
) -> Iterator[str]:
    yield RETRY
    if snapshot:
        yield f"id: {last}\nevent: status\ndata: {written(told, None).decode()}\n\n"
        if told["status"] not in MOVING:
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
    """An event as it goes over the wire; its data is one line."""
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.data}\n\n"


def wait(watcher: Watcher, lookup: PictureLookup, seconds: float) -> dict[str, Any] | None:
    """Wait until a picture has come to its end; return its status then, or None when the time is over.

    Raises:
        NotKnown: it was deleted meanwhile.
    """
    told = _ended(lookup, str(watcher.image_id))
    for event in _until(watcher, time.monotonic() + seconds):
        if told is None and (event is None or event.type in LAST):
            told = _ended(lookup, str(watcher.image_id))
        if told is not None:
            break
    return told


def follow(
    watcher: Watcher, lookup: PictureLookup, accepted: Mapping[str, Any], link: Callable[[str], str], seconds: float
) -> Iterator[bytes]:
    """Tell each stage of a picture as it happens, and at the end what was found; a JSON object a line.

    Where a look finds the end before the events have told of it, they have until the next look to come.
    """
    image_id = str(watcher.image_id)
    yield _line({"event": "accepted", **accepted})
    told = _end_of(lookup, image_id) if accepted.get("duplicate") else None
    for event in () if told else _until(watcher, time.monotonic() + seconds):
        if event is not None and event.type == "stage":
            yield _line({"event": "stage", **json.loads(event.data)})
        if event is None and told is not None:
            break
        if event is None or event.type in LAST:
            told = _end_of(lookup, image_id)
            if event is not None and told is not None:
                break
    how = told["status"] if told else "timeout"
    tagged = link(image_id) if how == "completed" else None
    results = told and told["results"]
    yield _line({"event": how, "image_id": image_id, "results": results, "tagged_image": tagged})


def _line(content: Mapping[str, Any]) -> bytes:
    return written(content, None) + b"\n"


def _ended(lookup: PictureLookup, image_id: str) -> dict[str, Any] | None:
    """How a picture stands that has come to its end; None while it moves, and while nobody can say."""
    try:
        told = lookup.status(image_id)
    except Unavailable:
        return None
    return None if told["status"] in MOVING else told


def _end_of(lookup: PictureLookup, image_id: str) -> dict[str, Any] | None:
    """The same, of one that may have been deleted."""
    try:
        return _ended(lookup, image_id)
    except NotKnown:
        return {"status": "deleted", "results": None}


def _until(watcher: Watcher, deadline: float) -> Iterator[Event | None]:
    """Yield events as they come, and None now and then: it is time to look; end at the deadline."""
    while not watcher.over and (left := deadline - time.monotonic()) > 0:
        yield watcher.next(min(LOOK_SECONDS, left))
    yield None


def _coming(watcher: Watcher) -> Iterator[Event | None]:
    """Yield events as they come, and None when none came for a while; end when the watcher's time is over."""
    silent_since = time.monotonic()
    while not (watcher.over or watcher.missed):
        event = watcher.next(WAKE_SECONDS)
        if event is not None or time.monotonic() - silent_since >= KEEP_ALIVE_SECONDS:
            silent_since = time.monotonic()
            yield event

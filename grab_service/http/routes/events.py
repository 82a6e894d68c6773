"""Streams of events."""

from collections.abc import Iterator

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from grab_service.api.problems import BadParameters, FieldError
from grab_service.api.schemas.common import ImagePath, content, responses
from grab_service.api.schemas.line import Resume
from grab_service.http.validation import checked
from grab_service.images.lookup import lookup
from grab_service.streaming import event_streams
from grab_service.streaming.hub import Watcher, hub, watch
from stageline.broker import events
from stageline.core.errors import Unavailable

routes = APIBlueprint("events", __name__, abp_tags=[Tag(name="events", description="What happens, as it happens.")])
SSE = "text/event-stream"
EVENT = {"type": "object", "properties": {name: {"type": "string"} for name in ("id", "event", "data")}}
STREAM = content(SSE, "server-sent events, of which the data is a JSON object; until the client leaves", EVENT)


@routes.get("/events", responses=responses({200: STREAM}))
@checked
def all_events(header: Resume) -> Response:
    """Tell what happens to all pictures, from now on, or from after the event of Last-Event-ID."""
    after = _after(header)
    watcher = watch()
    return _streamed(watcher, event_streams.stream(hub(), watcher, after))


@routes.get("/events/<image_id>", responses=responses({200: STREAM, 204: None}, 404))
@checked
def events_of(path: ImagePath, header: Resume) -> Response:
    """Tell how a picture stands, and what happens to it, to its end."""
    after = _after(header)
    watcher = watch(path.image_id)
    try:
        pieces = event_streams.stream_one(hub(), watcher, lookup(), after)
    except BaseException:
        watcher.leave()
        raise
    if pieces is None:  # a browser that gets a 204 does not reconnect
        watcher.leave()
        return Response(status=204)
    return _streamed(watcher, pieces)


def _after(header: Resume) -> str | None:
    after = header.last_event_id
    if after and not events.ID.fullmatch(after):
        raise BadParameters([FieldError("Last-Event-ID", "it is the id of an event that was told before")])
    return after or None


def _streamed(watcher: Watcher, pieces: Iterator[str]) -> Response:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    made = Response(_until_redis_is_away(pieces), mimetype=SSE, headers=headers)
    made.call_on_close(watcher.leave)
    return made


def _until_redis_is_away(pieces: Iterator[str]) -> Iterator[str]:
    try:
        yield from pieces
    except Unavailable:  # the client reconnects, and then gets the error
        return

"""Showing pictures: only so many are in memory at once, however slowly those who asked for them read."""

import hashlib
import threading
import time
from typing import cast

from flask import Response, current_app, request

from grab_service.api.problems import NoPlace, NotKnown
from grab_service.images.lookup import lookup, short
from grab_service.line.intake import intake
from stageline.core.errors import NotFound, Unavailable
from stageline.imaging import codec

SENT_AT_ONCE = 32
SENT_BYTES = 256 * 1024 * 1024  # of all of them; one alone may be larger
MAX_WAITING = 16  # with those that are being sent, and all that follow events, there are threads left for others
PLACE_SECONDS = 2.0


class Places:
    """The places of pictures that are being read and sent."""

    def __init__(self) -> None:
        self._left = threading.Condition()
        self._sizes: dict[Place, int] = {}
        self._waiting = 0

    def enter(self, size: int) -> "Place":
        """Take a place for a picture of so many bytes, or wait for one a moment.

        Raises:
            NoPlace: none came free.
        """
        deadline = time.monotonic() + PLACE_SECONDS
        with self._left:
            while not self._has_room(size):
                left = deadline - time.monotonic()
                if left <= 0 or self._waiting >= MAX_WAITING:
                    raise NoPlace("as many pictures are being sent as a process sends at once; try again soon")
                self._waiting += 1
                try:
                    self._left.wait(left)
                finally:
                    self._waiting -= 1
            place = Place(self)
            self._sizes[place] = size
            return place

    def change(self, place: "Place", size: int | None) -> None:
        """Set how much a place holds; None: it is left."""
        with self._left:
            if size is None:
                self._sizes.pop(place, None)
            elif place in self._sizes:
                self._sizes[place] = size
            self._left.notify_all()

    def _has_room(self, size: int) -> bool:
        held = sum(self._sizes.values())
        return not self._sizes or (len(self._sizes) < SENT_AT_ONCE and held + size <= SENT_BYTES)


class Place:
    """One picture's place."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def hold(self, size: int) -> None:
        """Say how many bytes it really has."""
        self._places.change(self, size)

    def leave(self) -> None:
        """Let the next one in; may be repeated."""
        self._places.change(self, None)


def show(image_id: str, stage: str) -> Response:
    """Answer with a picture as a stage left it; with less, where the client has it, or asks for a part.

    Raises:
        NotKnown: no such picture, or the stage has not come to it yet.
        NoPlace: too many others are being sent.
    """
    key = lookup().image_key(image_id, stage)
    try:
        return _not_modified(key) or _sent(key)
    except NotFound:
        raise NotKnown(f"{key} is not there (yet): see /status/{short(image_id)}") from None


def _not_modified(key: str) -> Response | None:
    """A 304, for which nothing is read: the store knows the ETag, but of what was uploaded to it in parts."""
    if not request.if_none_match or request.if_match:
        return None
    try:
        etag = intake().store.stat(key).etag
    except Unavailable:  # the cache may have it
        return None
    if not request.if_none_match.contains_weak(etag):
        return None
    made = Response(status=304)
    made.set_etag(etag)
    return _headed(made)


def _sent(key: str) -> Response:
    places, settings = cast("Places", current_app.config["PLACES"]), intake().settings
    place = places.enter(settings.max_upload_bytes)
    try:
        data = intake().store.get(key)
        place.hold(len(data))
        kind = codec.probe(data, settings.max_image_pixels).content_type
        made = _headed(Response(data, mimetype=kind))
        made.set_etag(hashlib.md5(data, usedforsecurity=False).hexdigest())
        made.make_conditional(request, accept_ranges=True, complete_length=len(data))
        made.call_on_close(place.leave)
    except BaseException:
        place.leave()
        raise
    return made


def _headed(made: Response) -> Response:
    made.headers["X-Content-Type-Options"] = "nosniff"  # a picture with a page behind it stays a picture
    made.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    made.headers["Cache-Control"] = "no-cache"  # kept, and asked for again with its ETag: a re-run writes it anew
    return made

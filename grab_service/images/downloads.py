"""Sends pictures. The number and size of those in memory are limited, however slowly clients read."""

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
SENT_BYTES = 256 * 1024 * 1024  # of all pictures together; a single one may be larger
MAX_WAITING = 16  # with SENT_AT_ONCE and all watchers of events this leaves threads for other requests
PLACE_SECONDS = 2.0


class Places:
    """The places for pictures that are being read and sent."""

    def __init__(self) -> None:
        self._left = threading.Condition()
        self._sizes: dict[Place, int] = {}
        self._waiting = 0

    def enter(self, size: int) -> "Place":
        """Take a place for a picture of ``size`` bytes; wait for it up to PLACE_SECONDS.

        Raises:
            NoPlace: no place became free.
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
        """Set the bytes that a place holds; None gives the place up."""
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
    """The place of one picture."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def hold(self, size: int) -> None:
        """Set the real number of bytes."""
        self._places.change(self, size)

    def leave(self) -> None:
        """Give the place up; may be repeated."""
        self._places.change(self, None)


def show(image_id: str, stage: str) -> Response:
    """Answer with a picture of a stage, or the requested part of it, or 304 if the client has it.

    Raises:
        NotKnown: there is no such picture, or the stage has not written it yet.
        NoPlace: too many pictures are being sent.
    """
    key = lookup().image_key(image_id, stage)
    try:
        return _not_modified(key) or _sent(key)
    except NotFound:
        raise NotKnown(f"{key} is not there (yet): see /status/{short(image_id)}") from None


def _not_modified(key: str) -> Response | None:
    """Return a 304 without reading the picture where its ETag in the store matches; not for multipart uploads."""
    if not request.if_none_match or request.if_match:
        return None
    try:
        etag = intake().store.stat(key).etag
    except Unavailable:  # the cache may have the picture
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
    made.headers["X-Content-Type-Options"] = "nosniff"  # no browser takes a picture for a page
    made.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    made.headers["Cache-Control"] = "no-cache"  # clients revalidate by ETag: a rerun writes the picture again
    return made

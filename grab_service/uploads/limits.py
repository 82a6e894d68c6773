"""How many uploads are taken at once: each is in memory whole; and how many searches wait."""

import contextlib
import threading
from collections.abc import Iterator

from flask import current_app, request

from grab_service.api.connections import UPLOAD_SECONDS, DeadlineSocket
from grab_service.api.problems import NoPlace
from stageline.core.errors import Unavailable

TURN_SECONDS = 30.0
SEARCHES = 8  # by pictures, at once: each waits for the line, and holds a thread


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Wait for a place among the uploads that are taken at once.

    Raises:
        Unavailable: none came free in time.
    """
    turns: threading.Semaphore = current_app.config["TURNS"]
    if not turns.acquire(timeout=TURN_SECONDS):
        raise Unavailable("as many uploads as DOOR_THREADS allows are being taken already")
    try:
        yield
    finally:
        turns.release()


@contextlib.contextmanager
def place() -> Iterator[None]:
    """Take a place among the searches by pictures.

    Raises:
        NoPlace: there is none.
    """
    places: threading.Semaphore = current_app.config["SEARCHES"]
    if not places.acquire(blocking=False):
        raise NoPlace(f"{SEARCHES} searches by pictures wait for the line already; try again soon")
    try:
        yield
    finally:
        places.release()


def allow_more_time() -> None:
    """Give what is still to come of a long body as long as an upload has."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, DeadlineSocket):
        connection.allow(UPLOAD_SECONDS)

"""Limits on concurrent uploads, each of which is in memory whole, and on waiting searches."""

import contextlib
from collections.abc import Iterator

from flask import current_app, request

from grab_service.api.connections import UPLOAD_SECONDS, DeadlineSocket
from grab_service.api.problems import NoPlace
from stageline.core.errors import Unavailable

TURN_SECONDS = 30.0
SEARCHES = 8  # by pictures, at once: each holds a thread while it waits for the line


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """Wait for a place among the concurrent uploads.

    Raises:
        Unavailable: no place became free within TURN_SECONDS.
    """
    if not current_app.config["TURNS"].acquire(timeout=TURN_SECONDS):
        raise Unavailable("as many uploads as DOOR_THREADS allows are being taken already")
    try:
        yield
    finally:
        current_app.config["TURNS"].release()


@contextlib.contextmanager
def place() -> Iterator[None]:
    """Take a place among the searches by pictures.

    Raises:
        NoPlace: all places are taken.
    """
    if not current_app.config["SEARCHES"].acquire(blocking=False):
        raise NoPlace(f"{SEARCHES} searches by pictures wait for the line already; try again soon")
    try:
        yield
    finally:
        current_app.config["SEARCHES"].release()


def allow_more_time() -> None:
    """Give the rest of a long body the time of one upload."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, DeadlineSocket):
        connection.allow(UPLOAD_SECONDS)

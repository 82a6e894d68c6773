"""How many uploads are taken at once: each is in memory whole."""

import contextlib
import threading
from collections.abc import Iterator

from flask import current_app, request

from grab_service.connections import UPLOAD_SECONDS, PatientSocket
from stageline.errors import Unavailable

TURN_SECONDS = 30.0


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


def allow_more_time() -> None:
    """Give what is still to come of a long body as long as an upload has."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, PatientSocket):
        connection.allow(UPLOAD_SECONDS)

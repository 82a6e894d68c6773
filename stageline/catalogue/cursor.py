"""The cursor of a page: opaque to clients, and checked when it comes back."""

import base64
import hashlib
import json
from datetime import UTC, datetime

from stageline.core.errors import StagelineError
from stageline.pipeline.message import ID

MAX_CURSOR_LENGTH = 200  # characters


class BadCursor(StagelineError):
    """The cursor comes from no page, or from one with other filters."""


def encode(uploaded_at: datetime, image_key: str, wanted: str) -> str:
    """Return the cursor after the last picture of a page; ``wanted`` is the filter as text."""
    text = json.dumps([uploaded_at.astimezone(UTC).isoformat(), image_key, _digest(wanted)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, wanted: str) -> tuple[datetime, str]:
    """Return the last picture of the page before.

    Raises:
        BadCursor: the cursor comes from no page, or from one with another filter.
    """
    no_cursor = BadCursor("cursor must be the next_cursor of a page; leave it out for the first page")
    if len(cursor) > MAX_CURSOR_LENGTH:
        raise no_cursor
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        uploaded_at, image_key, of = json.loads(text)
        moment = datetime.fromisoformat(uploaded_at)
        is_valid = moment.utcoffset() is not None and ID.fullmatch(image_key) is not None
        place = moment.astimezone(UTC), str(image_key)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise no_cursor from None
    if not is_valid:
        raise no_cursor
    if of != _digest(wanted):
        raise BadCursor("cursor is of a page with other filters: repeat those of the first page, or begin without it")
    return place


def _digest(wanted: str) -> str:
    return hashlib.sha256(wanted.encode(errors="replace")).hexdigest()[:8]

"""Where a page ends: opaque to whoever asks for the next one, and checked when it comes back."""

import base64
import json
from datetime import UTC, datetime

from stageline.errors import StagelineError
from stageline.message import ID

MOST = 200  # characters


class BadCursor(StagelineError):
    """The cursor is none that a page gave."""


def encode(uploaded_at: datetime, image_key: str) -> str:
    """Name the last picture of a page."""
    text = json.dumps([uploaded_at.astimezone(UTC).isoformat(), image_key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[datetime, str]:
    """Return the last picture of the page before.

    Raises:
        BadCursor: no page gave this.
    """
    no_cursor = BadCursor("cursor must be the next_cursor of a page; leave it out for the first page")
    if len(cursor) > MOST:
        raise no_cursor
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        uploaded_at, image_key = json.loads(text)
        moment = datetime.fromisoformat(uploaded_at)
        is_one = moment.utcoffset() is not None and ID.fullmatch(image_key) is not None
        place = moment.astimezone(UTC), str(image_key)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise no_cursor from None
    if not is_one:
        raise no_cursor
    return place

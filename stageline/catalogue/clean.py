"""Reads single values from untrusted documents: an invalid value is None, and nothing raises."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from stageline.core.timestamps import moment

MAX_NAME = 512  # characters; their bytes fit into an index of PostgreSQL
MAX_TEXT = 4000
MAX_KEYS = 64
MAX_POINTS = 64
MAX_WHOLE = 2**31 - 1
MAX_BIG = 2**63 - 1
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)
CROCKFORD = {letter: value for value, letter in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
ULID_LENGTH, ULID_TIME_LENGTH = 26, 10
ULID_SINCE, ULID_UNTIL = datetime(2015, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def text(value: object, most: int = MAX_NAME) -> str | None:
    """Return a text that every database takes: no NUL, no lone surrogates, at most ``most`` characters."""
    if not isinstance(value, str):
        return None
    if len(value) > most:
        value = value[:most]
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def number(value: object) -> float | None:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def whole(value: object, least: int = 0, most: int = MAX_WHOLE) -> int | None:
    """Return a whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if least <= value <= most else None


def time(value: object) -> datetime | None:
    """Return a time of ISO 8601; without a zone it is in UTC."""
    found = moment(value)
    return found if found and EARLIEST <= found <= LATEST else None


def later(moment: datetime | None, milliseconds: float | None) -> datetime | None:
    """Return the time so many milliseconds later."""
    if moment is None or milliseconds is None:
        return moment
    try:
        return moment + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return moment


def ulid_time(identity: str) -> datetime | None:
    """Return the time in an id that is a ULID."""
    if len(identity) != ULID_LENGTH or not all(letter in CROCKFORD for letter in identity):
        return None
    milliseconds = 0
    for letter in identity[:ULID_TIME_LENGTH]:
        milliseconds = milliseconds * 32 + CROCKFORD[letter]
    try:
        found = datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000)
    except (ValueError, OverflowError, OSError):
        return None
    return found if ULID_SINCE <= found <= ULID_UNTIL else None


def box(value: object) -> list[float] | None:
    """Return the four numbers of a box."""
    return _numbers(value, 4)


def points(value: object) -> list[list[float]] | None:
    """Return a list of points."""
    if not isinstance(value, list) or len(value) > MAX_POINTS:
        return None
    found = [point for point in (_numbers(each, 2) for each in value) if point is not None]
    return found if len(found) == len(value) else None


def keys(value: object) -> list[str] | None:
    """Return a list of object keys."""
    if not isinstance(value, list):
        return None
    return [key for key in (text(each, 128) for each in value[:MAX_KEYS]) if key is not None]


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list, without other values."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _numbers(value: object, count: int) -> list[float] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    if set(map(type, value)) == {float}:  # written by our own stages
        return value if all(map(math.isfinite, value)) else None
    found = [good for good in map(number, value) if good is not None]
    return found if len(found) == count else None

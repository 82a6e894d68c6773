"""Reads the stream of events about pictures. The transitions write it (see lua/_shared.lua)."""

import json
import re
from dataclasses import dataclass
from typing import Any, cast

import redis

from stageline.broker.keys import EVENTS
from stageline.broker.redis_client import reaching_redis

ID = re.compile(r"\d{1,15}-\d{1,10}")  # of an event, as Redis assigns it
START = "0-0"


@dataclass(frozen=True)
class Event:
    """One event; ``data`` is its content as JSON."""

    id: str
    type: str
    image_id: str
    data: str

    @property
    def content(self) -> dict[str, Any]:
        """The decoded content."""
        return cast("dict[str, Any]", json.loads(self.data))


def read(client: redis.Redis, after: str, count: int, block_ms: int | None = None) -> list[Event]:
    """Return up to ``count`` events after the id ``after``, oldest first; wait up to ``block_ms`` ms for the first.

    Raises:
        Unavailable: Redis is away.
    """
    with reaching_redis():
        found = client.xread({EVENTS: after}, count=count, block=block_ms)
    return [_event(entry) for _, entries in cast("list[Any]", found or []) for entry in entries]


def newest(client: redis.Redis) -> str:
    """Return the id of the newest event, or START when there is none.

    Raises:
        Unavailable: Redis is away.
    """
    with reaching_redis():
        found = cast("list[Any]", client.xrevrange(EVENTS, count=1))
    return str(found[0][0].decode()) if found else START


def is_trimmed(client: redis.Redis, after: str) -> bool:
    """Whether events after the id ``after`` may have been trimmed; the stream's length is limited.

    Raises:
        Unavailable: Redis is away.
    """
    with reaching_redis():
        oldest = cast("list[Any]", client.xrange(EVENTS, count=1))
        known = client.xinfo_stream(EVENTS) if oldest else {}
    if not oldest or known.get("entries-added") == known.get("length"):  # a server before 7 does not count them
        return False
    return _order(after) < _order(oldest[0][0].decode())


def _order(event_id: str) -> tuple[int, int]:
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


def is_after(event_id: str, other: str) -> bool:
    """Whether an event is newer than another."""
    return _order(event_id) > _order(other)


def _event(entry: Any) -> Event:
    event_id, fields = entry
    texts = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    return Event(event_id.decode(), texts.get("type", ""), texts.get("image_id", ""), texts.get("data", "{}"))

"""A picture's status while it moves: one Redis hash, with a field for each stage; it expires after the end."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import redis

from stageline.keys import status_key
from stageline.redis_client import reaching_redis

StatusFields = Mapping[str, str] | Iterable[tuple[str, str]]
STAGE = "stage:"


def now() -> str:
    """The time in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stage_fields(stage: str, entry: Mapping[str, Any], status: str = "processing") -> dict[str, str]:
    """The status fields that say what a stage is doing, or did."""
    return {"status": status, "updated_at": now(), STAGE + stage: json.dumps(entry)}


def read(client: redis.Redis, image_id: str) -> dict[str, Any] | None:
    """Return a picture's status with its stages decoded, or None when Redis knows nothing of it."""
    with reaching_redis():
        found = cast("dict[bytes, bytes]", client.hgetall(status_key(image_id)))
    if not found:
        return None
    fields = {name.decode(): value.decode() for name, value in found.items()}
    stages = {name.removeprefix(STAGE): json.loads(fields.pop(name)) for name in list(fields) if name.startswith(STAGE)}
    return {**fields, "stages": stages}

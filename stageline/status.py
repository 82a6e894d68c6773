"""A picture's status while it moves: one Redis hash, with a field for each stage; it expires after the end."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import redis

from stageline.keys import status_key
from stageline.message import Message
from stageline.redis_client import reaching_redis

StatusFields = Mapping[str, str] | Iterable[tuple[str, str]]
STAGE = "stage:"
KNOWN = ("filename", "file_size", "original_path")


def now() -> str:
    """The time in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stage_fields(stage: str, entry: Mapping[str, Any], status: str = "processing") -> dict[str, str]:
    """The status fields that say what a stage is doing, or did."""
    return {"status": status, "updated_at": now(), STAGE + stage: json.dumps(entry)}


def opened(message: Message) -> dict[str, str]:
    """The fields that open a picture's status: what is known of it, and what stages have already done to it."""
    known = {name: str(message.fields[name]) for name in KNOWN if name in message.fields}
    stages = {STAGE + name: json.dumps(entry) for name, entry in message.fields.get("stages", {}).items()}
    at = now()
    return {**known, "status": "submitted", "created_at": at, "updated_at": at, **stages}


def read(client: redis.Redis, image_id: str) -> dict[str, Any] | None:
    """Return a picture's status with its stages decoded, or None when Redis knows nothing of it."""
    with reaching_redis():
        found = cast("dict[bytes, bytes]", client.hgetall(status_key(image_id)))
    if not found:
        return None
    fields: dict[str, Any] = {name.decode(): value.decode() for name, value in found.items()}
    if "file_size" in fields:
        fields["file_size"] = int(fields["file_size"])
    stages = {name.removeprefix(STAGE): json.loads(fields.pop(name)) for name in list(fields) if name.startswith(STAGE)}
    return {**fields, "stages": stages}

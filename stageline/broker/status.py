"""A picture's status while it moves: one Redis hash, with a field for each stage; it expires after the end."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from stageline.broker.keys import status_key
from stageline.broker.redis_client import reaching_redis
from stageline.core import clock
from stageline.core.timestamps import iso
from stageline.pipeline.message import Message

STAGE = "stage:"
SIZE = ("origin_w", "origin_h", "orientation")
KNOWN = ("filename", "filename_guessed", "file_size", "original_path", "run", "batch_id", "until", "sha256", *SIZE)
KINDS: dict[str, Callable[[str], Any]] = {"file_size": int, "run": int, "ahead": int, "estimate": float,
    "filename_guessed": lambda said: said == "True", **dict.fromkeys(SIZE, int)}  # fmt: skip
MOVING = ("submitted", "processing")  # the statuses of a picture that is on its way
DELETED_RUN = 2**31  # the run of a tombstone: no message has it


def now() -> str:
    """The line's time in UTC, ISO 8601 with milliseconds."""
    return iso(clock.now())


def opened(message: Message) -> dict[str, str]:
    """The fields that open a picture's status: what is known of it, and what stages have already done to it."""
    known = {name: str(message.fields[name]) for name in KNOWN if name in message.fields}
    stages = {STAGE + name: json.dumps(entry) for name, entry in message.fields.get("stages", {}).items()}
    at = now()
    created = message.fields.get("uploaded_at") or at
    return {**known, "run": str(message.run), "status": "submitted", "created_at": created, "updated_at": at, **stages}


def read(client: redis.Redis, image_id: str) -> dict[str, Any] | None:
    """Return a picture's status with its stages decoded, or None when Redis knows nothing of it.

    Of a deleted picture it knows that: its status is ``deleted``, for a while.
    """
    (found,) = read_all(client, [image_id])
    return found


def read_all(client: redis.Redis, image_ids: Sequence[str]) -> list[dict[str, Any] | None]:
    """Return several, in one round trip."""
    with reaching_redis():
        pipe = client.pipeline(transaction=False)
        for image_id in image_ids:
            pipe.hgetall(status_key(image_id))
        return [_decoded(found) if found else None for found in pipe.execute()]


def _decoded(found: Mapping[bytes, bytes]) -> dict[str, Any]:
    fields: dict[str, Any] = {name.decode(): value.decode() for name, value in found.items()}
    for name, kind in KINDS.items():
        if name in fields:
            fields[name] = kind(fields[name])
    stages = {name.removeprefix(STAGE): json.loads(fields.pop(name)) for name in list(fields) if name.startswith(STAGE)}
    return {**fields, "stages": stages}

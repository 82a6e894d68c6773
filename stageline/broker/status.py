"""Reads a picture's status: one Redis hash with a field for each stage, which expires after the picture's end.

Every transition writes the status: ``transitions`` composes its fields, ``write_effects`` in lua/_shared.lua stores
them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from stageline.broker.keys import status_key
from stageline.broker.redis_client import reaching_redis

STAGE = "stage:"
SIZE = ("origin_w", "origin_h", "orientation")
KINDS: dict[str, Callable[[str], Any]] = {"file_size": int, "run": int, "ahead": int, "estimate": float,
    "filename_guessed": lambda text: text == "True", **dict.fromkeys(SIZE, int)}  # fmt: skip
DELETED_RUN = 2**31  # the run of a tombstone, higher than any message's


def read(client: redis.Redis, image_id: str) -> dict[str, Any] | None:
    """Return a picture's status with its stages decoded, or None when Redis has none.

    A deleted picture keeps a tombstone for a while; its status is ``deleted``.
    """
    (found,) = read_all(client, [image_id])
    return found


def read_all(client: redis.Redis, image_ids: Sequence[str]) -> list[dict[str, Any] | None]:
    """Return the statuses of several pictures, in one round trip."""
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

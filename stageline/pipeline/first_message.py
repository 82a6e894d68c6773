"""Pure functions of an upload: its id, its first message."""

import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from ulid import ULID

from stageline.core import clock
from stageline.core.timestamps import now
from stageline.imaging import codec
from stageline.pipeline.filenames import safe_filename
from stageline.pipeline.message import Message
from stageline.pipeline.rerun import first_run
from stageline.store.base import StoredObject

STAGE = "grab"  # what the door is called among the stages that a picture has been through
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def make_id() -> str:
    """An id for a picture or a batch: a ULID, which begins with the line's time."""
    return str(ULID.from_timestamp(clock.seconds()))


def traceparent(given: str | None) -> str:
    """Return the caller's W3C trace context where it is well-formed, else a new one."""
    if given and TRACEPARENT.fullmatch(given):
        return given
    new = secrets.token_hex(24)
    return f"00-{new[:32]}-{new[32:]}-01"


def take_in(
    data: bytes,
    filename: str,
    trace: str,
    max_pixels: int,
    worker: str = "monolith",
    image_id: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> tuple[Message, StoredObject]:
    """Check and name an upload; return the message that sends it down the line, and the original to store.

    Args:
        data: the picture's bytes.
        filename: the name that it came with; see stageline.pipeline.filenames.
        trace: a W3C trace context.
        max_pixels: the most that are taken.
        worker: what this process is called.
        image_id: its id; a new one where none is given.
        more: further fields of the message.

    Raises:
        BadImage: it is not a picture that the line takes.
    """
    started, begun = now(), time.monotonic()
    info = codec.check(data, max_pixels)
    sha256 = hashlib.sha256(data).hexdigest()
    image_id = image_id or make_id()
    key = f"original/{image_id}.{info.extension}"
    finished, ms = now(), round(1000 * (time.monotonic() - begun), 1)
    entry: dict[str, Any] = {"state": "done", "run": 1, "attempt": 1, "worker": worker, "started": started}
    entry |= {"finished": finished, "ms": ms, "key": key, "keys": [key]}
    fields = {
        "image_id": image_id, "filename": safe_filename(filename), "file_size": len(data), "original_path": key,
        "origin_w": info.width, "origin_h": info.height, "orientation": info.orientation, "sha256": sha256,
        "uploaded_at": finished, "attempt": 1, "traceparent": trace, "stages": {STAGE: entry}, **first_run(finished),
    }  # fmt: skip
    return Message.of(fields | dict(more or {})), StoredObject(key, data, info.content_type)

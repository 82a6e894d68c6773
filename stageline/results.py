"""results/<image_id>.json: what the line found in a picture, and what each stage did."""

import json
from collections.abc import Mapping
from typing import Any

from stageline.message import Message
from stageline.stage import StoredObject
from stageline.status import now


def key(image_id: str) -> str:
    """The key of a picture's results."""
    return f"results/{image_id}.json"


def completed(message: Message) -> StoredObject:
    """The results of a picture that came to the end of the line."""
    return _stored(message, {"status": "completed"})


def failed(message: Message, stage: str, reason: str, entry: Mapping[str, Any]) -> StoredObject:
    """The results of a picture that failed for good at ``stage``."""
    stages = {**message.fields.get("stages", {}), stage: dict(entry)}
    return _stored(message, {"status": "failed", "failed_stage": stage, "reason": reason, "stages": stages})


def _stored(message: Message, fields: Mapping[str, Any]) -> StoredObject:
    document = {**message.fields, **fields, "completed_at": now()}
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return StoredObject(key(message.image_id), text.encode(), "application/json")

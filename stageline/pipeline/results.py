"""results/<image_id>.json: what the line found in a picture, and what each stage did."""

import json
from collections.abc import Mapping
from typing import Any

from stageline.core.timestamps import now
from stageline.pipeline.message import Message
from stageline.store.base import StoredObject

WAITING = "waiting"  # for POST /process: it came to the stage after which it was to wait


def key(image_id: str) -> str:
    """The key of a picture's results."""
    return f"results/{image_id}.json"


def document(message: Message, status: str, **more: Any) -> dict[str, Any]:
    """Say all that is known of a picture that came to an end, or waits: the message's fields, and how it stands."""
    at = now()
    ended = {} if status == WAITING else {"completed_at": at}
    return {**message.fields, "status": status, **more, "updated_at": at, **ended}


def failure(message: Message, stage: str, reason: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Say all that is known of a picture that failed for good at ``stage``."""
    stages = {**message.fields.get("stages", {}), stage: dict(entry)}
    return document(message, "failed", failed_stage=stage, reason=reason, stages=stages)


def stored(said: Mapping[str, Any]) -> StoredObject:
    """A document as the object that holds it."""
    text = json.dumps(said, indent=2, ensure_ascii=False)
    return StoredObject(key(said["image_id"]), text.encode(), "application/json")


def best_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Say of each category in a document how sure the surest is, and of how many objects the detector says it.

    As the catalogue tells it of a picture: the surest first. Candidates and ImageNet's guesses are not among them.
    """
    best: dict[str, dict[str, Any]] = {}
    for kind, name, score in (("detections", "label", "score"), ("categories", "category", "confidence")):
        for found in document.get(kind) or ():
            known = best.setdefault(found[name], {"category": found[name], "confidence": 0.0, "objects": 0})
            known["confidence"] = max(known["confidence"], found.get(score) or 0.0)
            known["objects"] += kind == "detections"
    return sorted(best.values(), key=lambda known: (-known["confidence"], known["category"]))

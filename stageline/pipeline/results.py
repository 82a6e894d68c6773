"""results/<image_id>.json: the findings of a picture, and the entries of its stages."""

import json
from collections.abc import Mapping
from typing import Any

from stageline.core.timestamps import now
from stageline.pipeline.message import Message
from stageline.store.base import StoredObject

MOVING = ("submitted", "processing")  # the statuses of a picture in progress
WAITING = "waiting"  # for POST /process: the stage after which the picture was to wait is done


def key(image_id: str) -> str:
    """Return the key of a picture's results."""
    return f"results/{image_id}.json"


def document(message: Message, status: str, **more: Any) -> dict[str, Any]:
    """Return the results document of a picture that ended or waits: the message's fields, status and times."""
    at = now()
    ended = {} if status == WAITING else {"completed_at": at}
    return {**message.fields, "status": status, **more, "updated_at": at, **ended}


def failure(message: Message, stage: str, reason: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results document of a picture that failed for good at ``stage``."""
    stages = {**message.fields.get("stages", {}), stage: dict(entry)}
    return document(message, "failed", failed_stage=stage, reason=reason, stages=stages)


def stored(content: Mapping[str, Any]) -> StoredObject:
    """Return the object that holds a results document."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    return StoredObject(key(content["image_id"]), text.encode(), "application/json")


def best_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each category of a document with its highest confidence and its number of detected objects.

    The highest confidence comes first, as in the catalogue. Candidates and ImageNet's guesses are not included.
    """
    best: dict[str, dict[str, Any]] = {}
    for kind, name, score in (("detections", "label", "score"), ("categories", "category", "confidence")):
        for found in document.get(kind) or ():
            known = best.setdefault(found[name], {"category": found[name], "confidence": 0.0, "objects": 0})
            known["confidence"] = max(known["confidence"], found.get(score) or 0.0)
            known["objects"] += kind == "detections"
    return sorted(best.values(), key=lambda known: (-known["confidence"], known["category"]))

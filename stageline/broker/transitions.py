"""What is told of each step of a picture's way: its status, an event, an outcome for the catalogue, counts."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stageline.broker import status
from stageline.broker.side_effects import Event, Notes
from stageline.broker.statistics import WHOLE, counts
from stageline.broker.status import STAGE
from stageline.core.timestamps import now
from stageline.pipeline import filenames, line, results
from stageline.pipeline.message import Message
from stageline.pipeline.results import WAITING

Entry = Mapping[str, Any]
SHOWN = ("state", "attempt", "worker", "ms", "key", "reason")  # of an entry, in an event


def accepted(message: Message) -> Notes:
    """A picture was taken in."""
    fields = message.fields
    data = {"status": "submitted", **filenames.name_fields(fields.get("filename"), fields.get("filename_guessed"))}
    data |= {"file_size": fields.get("file_size")}
    data |= {"width": fields.get("origin_w"), "height": fields.get("origin_h"), "batch_id": fields.get("batch_id")}
    outcome = {"status": "submitted", "document": {**fields, "status": "submitted"}}
    opened = status.opened(message)
    return Notes.of(message, opened, ("accepted", data), outcome=outcome, counts=counts(WHOLE, "accepted"))


def sent_again(message: Message, stage: str) -> Notes:
    """A picture was sent down the line again, from this stage on."""
    fields = {**status.opened(message), "status": "processing"}
    outcome = {"status": "processing", "from": stage, "at": message.fields["runs"][-1]["created_at"]}
    data = {"status": "processing", "from": stage}
    before = message.fields["runs"][-2:-1]
    goes_on = bool(before) and before[0].get("status") == WAITING  # it was counted when it came
    counted = {} if goes_on else counts(WHOLE, "accepted")
    return Notes.of(message, fields, ("rerun", data), outcome=outcome, counts=counted)


def begun(message: Message, stage: str, entry: Entry) -> Notes:
    """A stage began its work; the first of a run tells the catalogue that it has begun."""
    first = message.attempt == 1 and stage == (message.starts_at or line.LINE[0].name) and message.run == 1
    outcome = {"status": "processing"} if first else {}
    return Notes.of(message, _status(stage, entry), _event(stage, entry), outcome=outcome)


def done(message: Message, stage: str, entry: Entry) -> Notes:
    """A stage's work was handed on."""
    counted = counts(stage, "done", entry["ms"])
    return Notes.of(message, _status(stage, entry), _event(stage, entry), counts=counted)


def ended(message: Message, stage: str, entry: Entry, document: Mapping[str, Any]) -> Notes:
    """The last stage's work is done, or that of the one after which the picture was to wait."""
    how = document["status"]
    seconds = _seconds_since_sent(document)
    data = {"status": how, "stage": stage, "kind": document.get("kind"), "seconds": seconds}
    data |= {"counts": Counter(found["label"] for found in document.get("detections") or [])}
    data |= {"categories": results.best_of(document), "faces": len(document.get("faces") or [])}
    fields = {**_status(stage, entry, how), "kind": str(document.get("kind") or "")}
    whole_way = how != WAITING and message.starts_at in (None, line.LINE[0].name)  # else it tells of no latency
    whole = counts(WHOLE, how, 1000 * seconds if whole_way else None)
    counted = {**counts(stage, "done", entry["ms"]), **whole}
    outcome = {"status": how, "document": document}
    return Notes.of(message, fields, _event(stage, entry), (how, data), outcome=outcome, counts=counted)


def retrying(message: Message, stage: str, entry: Entry) -> Notes:
    """A stage's work failed, and will be tried again."""
    return Notes.of(message, _status(stage, entry), _event(stage, entry), counts=counts(stage, "retried"))


def failed(message: Message, stage: str, entry: Entry, document: Mapping[str, Any]) -> Notes:
    """A picture failed for good."""
    reason = str(document["reason"])
    fields = {**_status(stage, entry, "failed"), "reason": reason, "failed_stage": stage}
    counted = {**counts(stage, "failed"), **counts(WHOLE, "failed")}
    data = {"status": "failed", "stage": stage, "reason": reason}
    outcome = {"status": "failed", "document": document}
    return Notes.of(message, fields, ("failed", data), outcome=outcome, counts=counted)


def deleted(image_id: str, *, probe: bool = False) -> Notes:
    """A picture is to be forgotten; what is left in its status keeps later steps from bringing it back."""
    fields = {"status": "deleted", "run": str(status.DELETED_RUN), "updated_at": now()}
    if probe:
        return Notes(image_id, status.DELETED_RUN, fields)
    told = {"status": "deleted"}
    return Notes(image_id, status.DELETED_RUN, fields, [("deleted", told)], told)


def _status(stage: str, entry: Entry, how: str = "processing") -> dict[str, str]:
    return {"status": how, "updated_at": now(), STAGE + stage: json.dumps(entry)}


def _event(stage: str, entry: Entry) -> Event:
    return "stage", {"status": "processing", "stage": stage, **{name: entry[name] for name in SHOWN if name in entry}}


def _seconds_since_sent(document: Mapping[str, Any]) -> float:
    """How long this run took; 0 where a foreign producer did not say when it began."""
    runs = document.get("runs") or [{}]
    began = runs[-1].get("created_at") or document.get("uploaded_at")
    try:
        took = datetime.fromisoformat(str(document["updated_at"])) - datetime.fromisoformat(str(began))
    except (ValueError, TypeError):
        return 0.0
    return round(max(0.0, took.total_seconds()), 3)

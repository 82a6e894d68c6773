"""Composes the side effects of each transition: the picture's status, events, an outbox event, and counts.

No other module composes side effects. The transition's script writes them in the same step that moves the message.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from stageline.broker import status
from stageline.broker.keys import minute_key, status_key
from stageline.broker.statistics import WHOLE, counts
from stageline.broker.status import STAGE
from stageline.core import clock
from stageline.core.timestamps import now
from stageline.pipeline import filenames, line, results
from stageline.pipeline.message import Message
from stageline.pipeline.results import WAITING

Entry = Mapping[str, Any]
Event = tuple[str, Mapping[str, Any]]  # its type, and its content
KNOWN = ("filename", "filename_guessed", "file_size", "original_path", "run", "batch_id", "until", "sha256",
    *status.SIZE)  # fmt: skip
SHOWN = ("state", "attempt", "worker", "ms", "key", "reason")  # of an entry, in an event


@dataclass(frozen=True)
class SideEffects:
    """The side effects of one transition.

    ``events`` are for clients that watch. ``outbox_event`` is for the catalogue: the status, and a document of all that
    is known. When the outbox has grown too long for documents, the catalogue reads the document from the bucket.
    """

    image_id: str = ""
    run: int = 1
    status: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[Event] = ()
    outbox_event: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, message: Message, status: Mapping[str, str], *events: Event, **more: Any) -> "SideEffects":
        """Return the side effects for a message; a probe has only a status."""
        if message.is_probe:
            return cls(message.image_id, message.run, status)
        return cls(message.image_id, message.run, status, events, **more)

    def given(self) -> dict[str, str | bytes]:
        """Return the keys and the argument for a script that declares ``effects``."""
        minute = minute_key(clock.seconds())
        if self == NO_EFFECTS:
            return {"status": status_key(""), "minute": minute, "effects": ""}
        base = {"image_id": self.image_id, "run": self.run, "at": now()}
        outbox_event, in_short = self._outbox_event()
        content = {
            "run": self.run,
            "image_id": self.image_id,
            "status": [part for field in self.status.items() for part in field],
            "events": [(kind, _compact({**base, **data})) for kind, data in self.events],
            "outbox_event": outbox_event,
            "outbox_event_short": in_short,
            "counts": self.counts,
        }
        return {"status": status_key(self.image_id), "minute": minute, "effects": msgspec.msgpack.encode(content)}

    def _outbox_event(self) -> tuple[str, str]:
        if not self.outbox_event:
            return "", ""
        whole = {"image_id": self.image_id, "run": self.run, "at": now(), **self.outbox_event}
        short = {name: value for name, value in whole.items() if name != "document"}
        return _compact(whole), _compact(short)


NO_EFFECTS = SideEffects()


def accepted(message: Message) -> SideEffects:
    """A picture was accepted."""
    fields = message.fields
    data = {"status": "submitted", **filenames.name_fields(fields.get("filename"), fields.get("filename_guessed"))}
    data |= {"file_size": fields.get("file_size")}
    data |= {"width": fields.get("origin_w"), "height": fields.get("origin_h"), "batch_id": fields.get("batch_id")}
    outbox_event = {"status": "submitted", "document": {**fields, "status": "submitted"}}
    opened, counted = _opened(message), counts(WHOLE, "accepted")
    return SideEffects.of(message, opened, ("accepted", data), outbox_event=outbox_event, counts=counted)


def sent_again(message: Message, stage: str) -> SideEffects:
    """A picture was sent down the line again, from ``stage`` on."""
    fields = {**_opened(message), "status": "processing"}
    outbox_event = {"status": "processing", "from": stage, "at": message.fields["runs"][-1]["created_at"]}
    data = {"status": "processing", "from": stage}
    before = message.fields["runs"][-2:-1]
    goes_on = bool(before) and before[0].get("status") == WAITING  # it was counted when it was accepted
    counted = {} if goes_on else counts(WHOLE, "accepted")
    return SideEffects.of(message, fields, ("rerun", data), outbox_event=outbox_event, counts=counted)


def begun(message: Message, stage: str, entry: Entry) -> SideEffects:
    """A stage began its work; the first stage of a picture also writes an outbox event."""
    first = message.attempt == 1 and stage == (message.starts_at or line.LINE[0].name) and message.run == 1
    outbox_event = {"status": "processing"} if first else {}
    return SideEffects.of(message, _status(stage, entry), _event(stage, entry), outbox_event=outbox_event)


def done(message: Message, stage: str, entry: Entry) -> SideEffects:
    """A stage's work is done, and its message moves to the next queue."""
    counted = counts(stage, "done", entry["ms"])
    return SideEffects.of(message, _status(stage, entry), _event(stage, entry), counts=counted)


def ended(message: Message, stage: str, entry: Entry, document: Mapping[str, Any]) -> SideEffects:
    """The last stage's work is done, or the work of the stage after which the picture was to wait."""
    how = document["status"]
    seconds = _seconds_since_sent(document)
    data = {"status": how, "stage": stage, "kind": document.get("kind"), "seconds": seconds}
    data |= {"counts": Counter(found["label"] for found in document.get("detections") or [])}
    data |= {"categories": results.best_of(document), "faces": len(document.get("faces") or [])}
    fields = {**_status(stage, entry, how), "kind": str(document.get("kind") or "")}
    whole_way = how != WAITING and message.starts_at in (None, line.LINE[0].name)  # else this is not the line's latency
    whole = counts(WHOLE, how, 1000 * seconds if whole_way else None)
    counted = {**counts(stage, "done", entry["ms"]), **whole}
    outbox_event = {"status": how, "document": document}
    return SideEffects.of(message, fields, _event(stage, entry), (how, data), outbox_event=outbox_event, counts=counted)


def retrying(message: Message, stage: str, entry: Entry) -> SideEffects:
    """A stage's work failed, and will be tried again."""
    return SideEffects.of(message, _status(stage, entry), _event(stage, entry), counts=counts(stage, "retried"))


def failed(message: Message, stage: str, entry: Entry, document: Mapping[str, Any]) -> SideEffects:
    """A picture failed for good."""
    reason = str(document["reason"])
    fields = {**_status(stage, entry, "failed"), "reason": reason, "failed_stage": stage}
    counted = {**counts(stage, "failed"), **counts(WHOLE, "failed")}
    data = {"status": "failed", "stage": stage, "reason": reason}
    outbox_event = {"status": "failed", "document": document}
    return SideEffects.of(message, fields, ("failed", data), outbox_event=outbox_event, counts=counted)


def deleted(image_id: str, *, probe: bool = False) -> SideEffects:
    """A picture is deleted; the tombstone in its status keeps later transitions from bringing it back."""
    fields = {"status": "deleted", "run": str(status.DELETED_RUN), "updated_at": now()}
    if probe:
        return SideEffects(image_id, status.DELETED_RUN, fields)
    data = {"status": "deleted"}
    return SideEffects(image_id, status.DELETED_RUN, fields, [("deleted", data)], data)


def _status(stage: str, entry: Entry, how: str = "processing") -> dict[str, str]:
    return {"status": how, "updated_at": now(), STAGE + stage: json.dumps(entry)}


def _event(stage: str, entry: Entry) -> Event:
    return "stage", {"status": "processing", "stage": stage, **{name: entry[name] for name in SHOWN if name in entry}}


def _seconds_since_sent(document: Mapping[str, Any]) -> float:
    """The seconds that this run took; 0 when a foreign producer gave no time of its beginning."""
    runs = document.get("runs") or [{}]
    began = runs[-1].get("created_at") or document.get("uploaded_at")
    try:
        took = datetime.fromisoformat(str(document["updated_at"])) - datetime.fromisoformat(str(began))
    except (ValueError, TypeError):
        return 0.0
    return round(max(0.0, took.total_seconds()), 3)


def _opened(message: Message) -> dict[str, str]:
    """The fields that open a picture's status: its known fields, and the entries of the stages that are done."""
    known = {name: str(message.fields[name]) for name in KNOWN if name in message.fields}
    stages = {STAGE + name: json.dumps(entry) for name, entry in message.fields.get("stages", {}).items()}
    at = now()
    created = message.fields.get("uploaded_at") or at
    return {**known, "run": str(message.run), "status": "submitted", "created_at": created, "updated_at": at, **stages}


def _compact(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)

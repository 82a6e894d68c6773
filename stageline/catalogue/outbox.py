"""Outbox events, which the line writes for the catalogue as JSON to a list; and the changes that each makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from stageline.catalogue import clean, documents
from stageline.catalogue.history import RANKS, run_of
from stageline.catalogue.rows import ENDED, PictureRows, Row, expiry
from stageline.core import clock
from stageline.core.errors import BadMessage
from stageline.pipeline.message import ID

DELETED = "deleted"
WITH_DOCUMENT = ("submitted", "waiting", *ENDED)
CLOCKS_DIFFER = timedelta(minutes=1)  # at most
OF_THE_UPLOAD = ("filename", "filename_key", "filename_guessed", "width", "height", "bytes", "sha256", "original_path",
    "batch_id", "uploaded_at")  # fmt: skip


@dataclass(frozen=True)
class OutboxEvent:
    """A change of a picture's status."""

    image_id: str
    status: str
    run: int = 1
    at: datetime = field(default_factory=clock.now)
    from_stage: str | None = None
    document: Mapping[str, Any] | None = None

    @classmethod
    def decode(cls, raw: bytes) -> "OutboxEvent":
        """Parse an event from the list.

        Raises:
            BadMessage: the bytes are no event.
        """
        return cls.of(documents.parse(raw, "an outbox event"))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "OutboxEvent":
        """Make an event from its fields.

        Raises:
            BadMessage: a field is invalid.
        """
        image_id, status, document = fields.get("image_id"), fields.get("status"), fields.get("document")
        if not (isinstance(image_id, str) and ID.fullmatch(image_id)):
            raise BadMessage(f"an outbox event's image_id must match {ID.pattern}")
        if not isinstance(status, str) or (status not in RANKS and status != DELETED):
            raise BadMessage(f"the status of {image_id}'s outbox event must be one of {', '.join(RANKS)} or {DELETED}")
        if document is not None and not isinstance(document, dict):
            raise BadMessage(f"the document of {image_id}'s outbox event must be an object")
        if document is not None and document.get("image_id", image_id) != image_id:
            raise BadMessage(f"the document of {image_id}'s outbox event is another picture's")
        at = clean.time(fields.get("at")) or clock.now()
        return cls(image_id, status, run_of(fields), at, clean.text(fields.get("from"), 64), document)


@dataclass(frozen=True)
class Step:
    """An event, and the rows of its document if it has one."""

    event: OutboxEvent
    rows: PictureRows | None = None
    is_from_bucket: bool = False  # the rows come from the bucket, not from the event

    @property
    def place(self) -> tuple[int, int]:
        """The run and the rank in it: a row only moves forward."""
        if self.rows is not None:  # a document read later may be newer than the event
            return self.rows.image["run"], self.rows.image["rank"]
        return self.event.run, RANKS[self.event.status]


@dataclass
class PictureChange:
    """A picture's rows, current and then changed: ``whole`` where all of them are new.

    ``deleted_at``, the time of the last deletion, stays when the id is used again: no earlier event is applied.
    """

    image: Row | None = None
    tasks: dict[int, Row] = field(default_factory=dict)
    deleted_at: datetime | None = None
    whole: PictureRows | None = None
    is_changed: bool = False
    latest: datetime = clean.EARLIEST  # the time of the latest event

    def take(self, steps: Sequence[Step], retention_days: int, *, back: bool = False) -> int:
        """Apply the steps in their order; return how many changed anything.

        With ``back`` a document from the bucket may also move the picture back.
        """
        changed = 0
        for step in steps:
            changed += self._take(step, retention_days, back=back)
            self.latest = max(self.latest, step.event.at)
        return changed

    def _take(self, step: Step, retention_days: int, *, back: bool) -> bool:
        if self.deleted_at is not None and step.event.at <= self.deleted_at:
            return False
        if step.event.status == DELETED:
            self._delete(step.event.at)
            return True
        if not self._is_news(step, back=back):
            return False
        if step.rows is not None and (self.image is None or step.rows.image["rank"] > 0 or back):
            self._become(step.rows, retention_days)
        else:
            self._move(step.event, retention_days)
        self.is_changed = True
        return True

    def _delete(self, at: datetime) -> None:
        """Remove all rows. Events before this one in the list are earlier, even if their clocks are a little ahead."""
        before = (self.latest, self.image["updated_at"] if self.image else at)
        self.deleted_at = max([at, *(moment for moment in before if moment < at + CLOCKS_DIFFER)])
        self.image, self.whole, self.is_changed = None, None, True
        self.tasks.clear()

    def _is_news(self, step: Step, *, back: bool) -> bool:
        """Return whether the step moves the picture forward or has a better document.

        Two workers may have done the same work, so that the same end comes twice. The later document counts, and one
        from the bucket counts more than one from an event.
        """
        if self.image is None:
            return True
        current = self.image["run"], self.image["rank"]
        if step.place != current or step.rows is None or step.place[1] < RANKS["waiting"]:
            return step.place > current or (back and step.place < current)
        return step.is_from_bucket or step.rows.image["updated_at"] > self.image["updated_at"]

    def _become(self, rows: PictureRows, retention_days: int) -> None:
        """Take over all rows of a document; one with an original alone keeps the known fields of the upload."""
        if self.image is not None and rows.image["rank"] == 0:
            known = {name: self.image[name] for name in OF_THE_UPLOAD if self.image[name] is not None}
            known["expires_at"] = expiry(known["uploaded_at"], retention_days)
            tasks = [{**task, "created_at": known["uploaded_at"]} for task in rows.tasks]
            rows = replace(rows, image=rows.image | known, tasks=tasks)
        self.image, self.whole = rows.image, rows
        self.tasks = {task["run"]: task for task in rows.tasks}

    def _move(self, event: OutboxEvent, retention_days: int) -> None:
        """Record the beginning of a run; the findings of an earlier run stay until it has ended."""
        before = self.image or _unknown(event, retention_days)
        moved = {"status": event.status, "run": event.run, "rank": RANKS[event.status], "updated_at": event.at}
        self.image = {**before, **moved, "reason": None, "failed_stage": None, "completed_at": None}
        task = self.tasks.get(event.run) or _task(event)
        self.tasks[event.run] = {**task, "status": event.status}
        if event.from_stage:
            self.tasks[event.run]["from_stage"] = event.from_stage


def _unknown(event: OutboxEvent, retention_days: int) -> Row:
    """Return the row of a picture without an upload event: a foreign producer only pushes its message."""
    uploaded_at = min(clean.ulid_time(event.image_id) or event.at, event.at)
    names = (*OF_THE_UPLOAD, "kind")
    row: Row = dict.fromkeys(names) | {"image_key": event.image_id, "uploaded_at": uploaded_at}
    return row | {"expires_at": expiry(uploaded_at, retention_days)}


def _task(event: OutboxEvent) -> Row:
    run = {"image_key": event.image_id, "run": event.run, "from_stage": None, "created_at": event.at}
    return run | {"finished_at": None, "reason": None}

"""Outcomes: what the line tells the catalogue of, as JSON on a list; and what each, read in its order, changes."""

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
    """One thing that became of a picture."""

    image_id: str
    status: str
    run: int = 1
    at: datetime = field(default_factory=clock.now)
    from_stage: str | None = None
    document: Mapping[str, Any] | None = None

    @classmethod
    def decode(cls, raw: bytes) -> "OutboxEvent":
        """Read one off the list.

        Raises:
            BadMessage: it is none.
        """
        return cls.of(documents.parse(raw, "an outcome"))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "OutboxEvent":
        """Check an outcome's fields.

        Raises:
            BadMessage: they are no outcome's.
        """
        image_id, status, document = fields.get("image_id"), fields.get("status"), fields.get("document")
        if not (isinstance(image_id, str) and ID.fullmatch(image_id)):
            raise BadMessage(f"an outcome's image_id must match {ID.pattern}")
        if not isinstance(status, str) or (status not in RANKS and status != DELETED):
            raise BadMessage(f"the status of {image_id}'s outcome must be one of {', '.join(RANKS)} or {DELETED}")
        if document is not None and not isinstance(document, dict):
            raise BadMessage(f"the document of {image_id}'s outcome must be an object")
        if document is not None and document.get("image_id", image_id) != image_id:
            raise BadMessage(f"the document of {image_id}'s outcome is another picture's")
        at = clean.time(fields.get("at")) or clock.now()
        return cls(image_id, status, run_of(fields), at, clean.text(fields.get("from"), 64), document)


@dataclass(frozen=True)
class Step:
    """An outcome, and the rows that its document makes, where it has one."""

    outcome: OutboxEvent
    rows: PictureRows | None = None
    is_from_bucket: bool = False  # the rows are of what the bucket had when this was applied

    @property
    def place(self) -> tuple[int, int]:
        """How far the picture is: a row only moves forward."""
        if self.rows is not None:  # a document read later may tell of more than the outcome did
            return self.rows.image["run"], self.rows.image["rank"]
        return self.outcome.run, RANKS[self.outcome.status]


@dataclass
class PictureChange:
    """A picture's rows as they stand, and then as they will: ``whole`` where all of them are new.

    ``deleted_at``, of its last deletion, stays when the id is used again: what was told before then is never taken.
    """

    image: Row | None = None
    tasks: dict[int, Row] = field(default_factory=dict)
    deleted_at: datetime | None = None
    whole: PictureRows | None = None
    is_changed: bool = False
    told: datetime = clean.EARLIEST  # the latest that any step said

    def take(self, steps: Sequence[Step], retention_days: int, *, back: bool = False) -> int:
        """Take the steps in their order; how many changed anything.

        ``back`` also lets what the bucket has take the picture back.
        """
        changed = 0
        for step in steps:
            changed += self._take(step, retention_days, back=back)
            self.told = max(self.told, step.outcome.at)
        return changed

    def _take(self, step: Step, retention_days: int, *, back: bool) -> bool:
        if self.deleted_at is not None and step.outcome.at <= self.deleted_at:
            return False
        if step.outcome.status == DELETED:
            self._delete(step.outcome.at)
            return True
        if not self._is_news(step, back=back):
            return False
        if step.rows is not None and (self.image is None or step.rows.image["rank"] > 0 or back):
            self._become(step.rows, retention_days)
        else:
            self._move(step.outcome, retention_days)
        self.is_changed = True
        return True

    def _delete(self, at: datetime) -> None:
        """Take all rows away. Clocks differ a little: what the list has before this was told before it."""
        before = (self.told, self.image["updated_at"] if self.image else at)
        self.deleted_at = max([at, *(moment for moment in before if moment < at + CLOCKS_DIFFER)])
        self.image, self.whole, self.is_changed = None, None, True
        self.tasks.clear()

    def _is_news(self, step: Step, *, back: bool) -> bool:
        """Whether the step takes the picture on, or says better how it stands.

        Two workers may have done the same work, so that the same end is told twice. The later document counts; what the
        bucket has counts for more than any document that was told.
        """
        if self.image is None:
            return True
        stands = self.image["run"], self.image["rank"]
        if step.place != stands or step.rows is None or step.place[1] < RANKS["waiting"]:
            return step.place > stands or (back and step.place < stands)
        return step.is_from_bucket or step.rows.image["updated_at"] > self.image["updated_at"]

    def _become(self, rows: PictureRows, retention_days: int) -> None:
        """Take all rows of a document; of an original alone, which says little, what was known stays."""
        if self.image is not None and rows.image["rank"] == 0:
            known = {name: self.image[name] for name in OF_THE_UPLOAD if self.image[name] is not None}
            known["expires_at"] = expiry(known["uploaded_at"], retention_days)
            tasks = [{**task, "created_at": known["uploaded_at"]} for task in rows.tasks]
            rows = replace(rows, image=rows.image | known, tasks=tasks)
        self.image, self.whole = rows.image, rows
        self.tasks = {task["run"]: task for task in rows.tasks}

    def _move(self, outcome: OutboxEvent, retention_days: int) -> None:
        """Note that a run was begun; what an earlier one found stays until this one has ended."""
        before = self.image or _unknown(outcome, retention_days)
        moved = {"status": outcome.status, "run": outcome.run, "rank": RANKS[outcome.status], "updated_at": outcome.at}
        self.image = {**before, **moved, "reason": None, "failed_stage": None, "completed_at": None}
        task = self.tasks.get(outcome.run) or _task(outcome)
        self.tasks[outcome.run] = {**task, "status": outcome.status}
        if outcome.from_stage:
            self.tasks[outcome.run]["from_stage"] = outcome.from_stage


def _unknown(outcome: OutboxEvent, retention_days: int) -> Row:
    """The row of a picture that was never announced: a foreign producer only pushes its message."""
    uploaded_at = min(clean.ulid_time(outcome.image_id) or outcome.at, outcome.at)
    names = (*OF_THE_UPLOAD, "kind")
    row: Row = dict.fromkeys(names) | {"image_key": outcome.image_id, "uploaded_at": uploaded_at}
    return row | {"expires_at": expiry(uploaded_at, retention_days)}


def _task(outcome: OutboxEvent) -> Row:
    run = {"image_key": outcome.image_id, "run": outcome.run, "from_stage": None, "created_at": outcome.at}
    return run | {"finished_at": None, "reason": None}

"""Outcomes: what the line tells the catalogue of, as JSON on a list; and what each, read in its order, changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stageline.catalogue import clean, documents
from stageline.catalogue.history import run_of
from stageline.catalogue.rows import ENDED, RANKS, PictureRows, Row, expiry
from stageline.errors import BadMessage
from stageline.message import ID

DELETED = "deleted"
WITH_DOCUMENT = ("submitted", "waiting", *ENDED)


@dataclass(frozen=True)
class Outcome:
    """One thing that became of a picture."""

    image_id: str
    status: str
    run: int = 1
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    from_stage: str | None = None
    document: Mapping[str, Any] | None = None

    @classmethod
    def decode(cls, raw: bytes) -> "Outcome":
        """Read one off the list.

        Raises:
            BadMessage: it is none.
        """
        return cls.of(documents.parse(raw, "an outcome"))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Outcome":
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
        at = clean.time(fields.get("at")) or datetime.now(UTC)
        return cls(image_id, status, run_of(fields), at, clean.text(fields.get("from"), 64), document)


@dataclass(frozen=True)
class Step:
    """An outcome, and the rows that its document makes, where it has one."""

    outcome: Outcome
    rows: PictureRows | None = None

    @property
    def place(self) -> tuple[int, int]:
        """How far the picture is: a row only moves forward."""
        if self.rows is not None:  # a document read later may tell of more than the outcome did
            return self.rows.image["run"], self.rows.image["rank"]
        return self.outcome.run, RANKS[self.outcome.status]


@dataclass
class Picture:
    """A picture's rows as they stand, and then as they will: ``whole`` where all of them are new."""

    image: Row | None = None
    tasks: dict[int, Row] = field(default_factory=dict)
    deleted_at: datetime | None = None
    whole: PictureRows | None = None
    is_changed: bool = False

    def take(self, steps: Sequence[Step], retention_days: int, *, again: bool = False) -> int:
        """Take the steps in their order; how many changed anything.

        ``again`` also lets a document replace the rows that an equal one made before.
        """
        return sum(self._take(step, retention_days, again=again) for step in steps)

    def _take(self, step: Step, retention_days: int, *, again: bool) -> bool:
        if self.deleted_at is not None:
            return False
        if step.outcome.status == DELETED:
            self.deleted_at, self.image, self.whole, self.is_changed = step.outcome.at, None, None, True
            return True
        stands = (self.image["run"], self.image["rank"]) if self.image else (0, -1)
        replaces = again and step.place == stands and step.place[1] > 0
        if step.place <= stands and not replaces:
            return False
        if step.rows is not None and (self.image is None or step.rows.image["rank"] > 0):
            self.image, self.whole = step.rows.image, step.rows
            self.tasks = {task["run"]: task for task in step.rows.tasks}
        else:
            self._move(step.outcome, retention_days)
        self.is_changed = True
        return True

    def _move(self, outcome: Outcome, retention_days: int) -> None:
        """Note that a run was begun; what an earlier one found stays until this one has ended."""
        before = self.image or _unknown(outcome, retention_days)
        moved = {"status": outcome.status, "run": outcome.run, "rank": RANKS[outcome.status], "updated_at": outcome.at}
        self.image = {**before, **moved, "reason": None, "failed_stage": None, "completed_at": None}
        task = self.tasks.get(outcome.run) or _task(outcome)
        self.tasks[outcome.run] = {**task, "status": outcome.status}
        if outcome.from_stage:
            self.tasks[outcome.run]["from_stage"] = outcome.from_stage


def _unknown(outcome: Outcome, retention_days: int) -> Row:
    """The row of a picture that was never announced: a foreign producer only pushes its message."""
    uploaded_at = clean.ulid_time(outcome.image_id) or outcome.at
    names = ("filename", "kind", "width", "height", "bytes", "sha256", "original_path", "batch_id")
    row = dict.fromkeys(names) | {"image_key": outcome.image_id, "uploaded_at": uploaded_at}
    return row | {"expires_at": expiry(uploaded_at, retention_days)}


def _task(outcome: Outcome) -> Row:
    run = {"image_key": outcome.image_id, "run": outcome.run, "from_stage": None, "created_at": outcome.at}
    return run | {"finished_at": None, "reason": None}

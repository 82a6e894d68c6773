"""Makes the rows of tasks and task_history from a document. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from stageline.catalogue import clean

Row = dict[str, Any]
Document = Mapping[str, Any]
RANKS = {"submitted": 0, "processing": 1, "waiting": 2, "completed": 3, "failed": 3}
STATES = tuple(RANKS)


class Entry(NamedTuple):
    """One attempt of a stage."""

    stage: str | None
    run: int
    attempt: int
    state: str | None
    worker: str | None
    started: datetime | None
    finished: datetime | None
    ms: float | None
    error: str | None
    keys: list[str] | None


def entries(document: Document) -> list[Entry]:
    """Return all attempts in order of time: those in ``history`` and the last of each stage."""
    found = [entry_of(each) for each in clean.objects(document.get("history"))]
    stages = document.get("stages")
    if isinstance(stages, dict):
        found += [entry_of(each, stage) for stage, each in stages.items()]
    known = [entry for entry in found if entry is not None and entry.stage]
    return sorted(known, key=lambda entry: (entry.run, entry.started or entry.finished or clean.LATEST, entry.attempt))


def entry_of(value: object, stage: object = None) -> Entry | None:
    """Read an attempt; None where the value is no object."""
    if not isinstance(value, dict):
        return None
    started, ms = clean.time(value.get("started")), clean.number(value.get("ms"))
    written = value.get("keys") or ([value["key"]] if value.get("key") else None)
    return Entry(
        clean.text(value.get("stage") if stage is None else stage, 64),
        run_of(value),
        clean.whole(value.get("attempt"), 1) or 1,
        clean.text(value.get("state"), 32),
        clean.text(value.get("worker"), 200),
        started,
        clean.time(value.get("finished")) or (clean.later(started, ms) if value.get("state") != "working" else None),
        ms,
        clean.text(value.get("reason"), clean.MAX_TEXT),
        clean.keys(written),
    )


def rows(image_id: str, attempts: list[Entry]) -> list[Row]:
    """Return the rows of task_history."""
    return [{"image_key": image_id, "position": at, **entry._asdict()} for at, entry in enumerate(attempts)]


def tasks(document: Document, image: Row) -> list[Row]:
    """Return the rows of tasks, one per run; the state of the last run is that of the document."""
    found = {run_of(each): _task(each, image["image_key"]) for each in clean.objects(document.get("runs"))}
    run = image["run"]
    current = found.setdefault(run, _task({"run": run}, image["image_key"]))
    current["created_at"] = current["created_at"] or (image["uploaded_at"] if run == 1 else None)
    current |= {"status": image["status"], "finished_at": image["completed_at"], "reason": image["reason"]}
    return [found[number] for number in sorted(found)]


def run_of(value: Mapping[str, Any]) -> int:
    """Return the run of a document, an attempt or an event; the first if none is given."""
    return clean.whole(value.get("run"), 1) or 1


def label_of(worker: str | None) -> str | None:
    """Return the WORKER_ID in a worker's identity, ``queue:label:hex``; a foreign identity stays."""
    if worker is None:
        return None
    parts = worker.split(":")
    return (parts[1] if len(parts) == 3 else worker) or None  # noqa: PLR2004


def _task(run: Mapping[str, Any], image_id: str) -> Row:
    status = run.get("status")
    return {
        "image_key": image_id,
        "run": run_of(run),
        "from_stage": clean.text(run.get("from"), 64),
        "status": status if isinstance(status, str) and status in STATES else None,
        "created_at": clean.time(run.get("created_at")),
        "finished_at": clean.time(run.get("finished_at")),
        "reason": clean.text(run.get("reason"), clean.MAX_TEXT),
    }

"""The history of a picture's stages with their objects; and tasks: a task is one run of a picture."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from grab_service.api.problems import NotKnown
from grab_service.images.lookup import Found, PictureLookup
from grab_service.line.intake import Intake
from stageline.core.errors import NotFound, Unavailable
from stageline.pipeline import line
from stageline.pipeline.first_message import STAGE
from stageline.pipeline.results import MOVING

ENTRY = ("state", "attempt", "worker", "started", "finished", "ms", "reason")
TASK = re.compile(r"([A-Za-z0-9_-]{1,64})\.([1-9][0-9]{0,8})", re.ASCII)


class History:
    """Returns the history of pictures and tasks."""

    def __init__(self, intake: Intake, lookup: PictureLookup) -> None:
        self._intake, self._lookup = intake, lookup

    def of(self, image_id: str) -> dict[str, Any]:
        """Return what each stage did to a picture, and the objects it wrote.

        Raises:
            NotKnown: there is no such picture.
        """
        found = self._lookup.find(image_id)
        entries = (found.live or found.document or {}).get("stages") or {}
        names = [STAGE, *(stage.name for stage in line.LINE)]
        stages = [
            {"stage": name, **_entry(entries.get(name)), "objects": list(self._objects(entries.get(name)))}
            for name in names
            if name in entries or name != STAGE
        ]
        history = [dict(each) for each in (found.document or {}).get("history") or ()]
        fields = {"image_id": found.image_id, "run": found.run, "status": found.status}
        return {**fields, "stages": stages, "history": history}

    def task(self, task_id: str) -> dict[str, Any]:
        """Return one run of a picture with all attempts.

        Raises:
            NotKnown: there is no task with that id.
        """
        match = TASK.fullmatch(task_id)
        found = self._lookup.by_id(match[1]) if match else None
        if match is None or found is None or int(match[2]) > found.run:
            raise NotKnown("no picture went down the line under that task_id: it is <image_id>.<run>")
        run = int(match[2])
        if found.status in MOVING and run == found.run:
            return self._present(found, run)
        document = found.document or self._lookup.results(found.image_id) or {}
        past = _past(found.image_id, run, document) or self._intake.catalogue.task(found.image_id, run)
        if past is None:
            raise NotKnown(f"nothing is known any more of the run {run} of {found.image_id}")
        return past

    def _present(self, found: Found, run: int) -> dict[str, Any]:
        """Return the current task: its stages from Redis, its beginning from the catalogue if it has the run."""
        catalogued = None
        with contextlib.suppress(Unavailable):
            catalogued = self._intake.catalogue.task(found.image_id, run)
        begun = {"from": line.LINE[0].name, "created_at": found.get("created_at")} if run == 1 else {}
        begun = {name: (catalogued or {}).get(name) or begun.get(name) for name in ("from", "created_at")}
        history = _steps((found.live or {}).get("stages") or {}, run)
        fields = {"task_id": f"{found.image_id}.{run}", "image_id": found.image_id, "run": run}
        return {**fields, **begun, "status": found.status, "finished_at": None, "reason": None, "history": history}

    def _objects(self, entry: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
        for key in (entry or {}).get("keys") or filter(None, [(entry or {}).get("key")]):
            size = etag = None
            with contextlib.suppress(NotFound):
                stat = self._intake.store.stat(str(key))
                size, etag = stat.size, stat.etag
            yield {"key": str(key), "size": size, "etag": etag}


def _entry(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the entry of a stage; without one, the stage waits for the picture."""
    return {name: (entry or {"state": "waiting"}).get(name) for name in ENTRY}


def _past(image_id: str, run: int, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a finished task from the results; None where they do not have it."""
    for begun in document.get("runs") or ():
        if isinstance(begun, Mapping) and begun.get("run") == run:
            present = run == int(document.get("run") or 1)
            ended = document if present else begun
            finished = (
                (document.get("completed_at") or document.get("updated_at")) if present else begun.get("finished_at")
            )
            of = {"task_id": f"{image_id}.{run}", "image_id": image_id, "run": run, "from": begun.get("from")}
            times = {"created_at": begun.get("created_at"), "finished_at": finished}
            tried = [_step(str(each.get("stage")), each) for each in document.get("history") or () if _run(each) == run]
            history = tried + _steps(document.get("stages") or {}, run)
            history.sort(key=lambda step: str(step["started"] or ""))
            return {**of, "status": ended.get("status"), **times, "reason": ended.get("reason"), "history": history}
    return None


def _steps(entries: Mapping[str, Any], run: int) -> list[dict[str, Any]]:
    return [_step(name, entry) for name, entry in entries.items() if isinstance(entry, Mapping) and _run(entry) == run]


def _step(stage: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stage": stage,
        **{name: entry.get(name) for name in ENTRY if name != "reason"},
        "error": entry.get("reason"),
    }


def _run(entry: Mapping[str, Any]) -> int:
    return int(entry.get("run") or 1)

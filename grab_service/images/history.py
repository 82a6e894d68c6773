"""The ledger: what each stage did to a picture and what it left; and a task: one way of a picture down the line."""

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
    """Tells what was done."""

    def __init__(self, intake: Intake, lookup: PictureLookup) -> None:
        self._intake, self._lookup = intake, lookup

    def of(self, image_id: str) -> dict[str, Any]:
        """Tell what each stage did to a picture, with the objects it left.

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
        told = {"image_id": found.image_id, "run": found.run, "status": found.status}
        return {**told, "stages": stages, "history": history}

    def task(self, task_id: str) -> dict[str, Any]:
        """Tell of one way of a picture down the line: all that was tried.

        Raises:
            NotKnown: there is none of that id.
        """
        match = TASK.fullmatch(task_id)
        found = self._lookup.by_id(match[1]) if match else None
        if match is None or found is None or int(match[2]) > found.run:
            raise NotKnown("no picture went down the line under that task_id: it is <image_id>.<run>")
        run = int(match[2])
        if found.status in MOVING and run == found.run:
            return self._present(found, run)
        document = found.document or self._lookup.results(found.image_id) or {}
        told = _past(found.image_id, run, document) or self._intake.catalogue.task(found.image_id, run)
        if told is None:
            raise NotKnown(f"nothing is known any more of the run {run} of {found.image_id}")
        return told

    def _present(self, found: Found, run: int) -> dict[str, Any]:
        """The task that a picture is on: its stages from Redis, when it began from the catalogue where that knows."""
        catalogued = None
        with contextlib.suppress(Unavailable):
            catalogued = self._intake.catalogue.task(found.image_id, run)
        begun = {"from": line.LINE[0].name, "created_at": found.get("created_at")} if run == 1 else {}
        begun = {name: (catalogued or {}).get(name) or begun.get(name) for name in ("from", "created_at")}
        history = _steps((found.live or {}).get("stages") or {}, run)
        told = {"task_id": f"{found.image_id}.{run}", "image_id": found.image_id, "run": run}
        return {**told, **begun, "status": found.status, "finished_at": None, "reason": None, "history": history}

    def _objects(self, entry: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
        for key in (entry or {}).get("keys") or filter(None, [(entry or {}).get("key")]):
            size = etag = None
            with contextlib.suppress(NotFound):
                stat = self._intake.store.stat(str(key))
                size, etag = stat.size, stat.etag
            yield {"key": str(key), "size": size, "etag": etag}


def _entry(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a stage did; a stage that has not come to the picture waits for it."""
    return {name: (entry or {"state": "waiting"}).get(name) for name in ENTRY}


def _past(image_id: str, run: int, document: Mapping[str, Any]) -> dict[str, Any] | None:
    """A task that is over, as the results tell it."""
    for told in document.get("runs") or ():
        if isinstance(told, Mapping) and told.get("run") == run:
            present = run == int(document.get("run") or 1)
            ended = document if present else told
            finished = (
                (document.get("completed_at") or document.get("updated_at")) if present else told.get("finished_at")
            )
            of = {"task_id": f"{image_id}.{run}", "image_id": image_id, "run": run, "from": told.get("from")}
            times = {"created_at": told.get("created_at"), "finished_at": finished}
            tried = [_step(str(each.get("stage")), each) for each in document.get("history") or () if _run(each) == run]
            history = tried + _steps(document.get("stages") or {}, run)
            history.sort(key=lambda step: str(step["started"] or ""))
            return {**of, "status": ended.get("status"), **times, "reason": ended.get("reason"), "history": history}
    return None


def _steps(entries: Mapping[str, Any], run: int) -> list[dict[str, Any]]:
    return [_step(name, entry) for name, entry in entries.items() if isinstance(entry, Mapping) and _run(entry) == run]


def _step(stage: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: entry.get(name) for name in ("attempt", "state", "worker", "started", "finished", "ms")}
    return {"stage": stage, **told, "error": entry.get("reason")}


def _run(entry: Mapping[str, Any]) -> int:
    return int(entry.get("run") or 1)

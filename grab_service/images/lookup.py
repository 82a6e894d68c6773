"""Looks up pictures: in Redis while they move and for STATUS_TTL after, then in their results."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from grab_service.api.problems import NotKnown
from grab_service.line.intake import Intake, intake
from stageline.broker import status, time_left
from stageline.core.errors import NotFound, Unavailable
from stageline.maintenance.deletion import all_folders, erase_objects
from stageline.pipeline import filenames, line, results
from stageline.pipeline.first_message import STAGE
from stageline.pipeline.message import ID, PROBE
from stageline.pipeline.results import MOVING

DELETED = "deleted"


@dataclass(frozen=True)
class Found:
    """A picture: its status in Redis, its results, or both. The status is newer."""

    image_id: str
    live: Mapping[str, Any] | None
    document: Mapping[str, Any] | None
    lost: bool = False  # neither Redis nor results have it: ``live`` is the catalogue's row

    @property
    def status(self) -> str:
        """The status."""
        return str((self.live or self.document or {}).get("status") or "submitted")

    @property
    def run(self) -> int:
        """The number of its current or last run, from 1."""
        return int(self.get("run") or 1)

    def get(self, name: str) -> Any:
        """Return a field of the status, or else of the results."""
        for source in (self.live, self.document):
            if source and source.get(name) not in (None, ""):
                return source[name]
        return None


class PictureLookup:
    """Finds pictures, reports their status and deletes them."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def find(self, image_id: str) -> Found:
        """Find a picture by its id, or else the newest with that filename, in any Unicode normal form.

        Raises:
            NotKnown: there is no such picture.
        """
        found = self.by_id(image_id)
        if found is None and filenames.is_seen(image_id):
            found = self._newest_named(image_id)
        if found is None:
            raise NotKnown(f"no picture has the id or the filename {short(image_id)}")
        return found

    def by_id(self, image_id: str, row: Mapping[str, Any] | None = None) -> Found | None:
        """Find a picture by its id; None if there is none, or it was deleted. ``row``: its catalogue row, if read."""
        if not ID.fullmatch(image_id) or image_id.startswith(PROBE):  # probes are not shown
            return None
        live = status.read(self._intake.client, image_id)
        if live is not None and live.get("status") == DELETED:
            return None
        document = None if live and live.get("status") in MOVING else self.results(image_id)
        if live or document:
            return Found(image_id, live, document)
        row = row or self._row(image_id)
        live = {**row, "created_at": row["uploaded_at"], "stages": {}} if row else None
        return Found(image_id, live, None, lost=True) if live else None

    def results(self, image_id: str) -> Mapping[str, Any] | None:
        """Return results/<id>.json; None if it does not exist."""
        try:
            document: Mapping[str, Any] = json.loads(self._intake.store.get(results.key(image_id)))
        except NotFound:
            return None
        return document

    def status(self, image_id: str) -> dict[str, Any]:
        """Return the answer of GET /status: the status, each stage, and at the end the results.

        Raises:
            NotKnown: no picture has that id.
        """
        found = self.find(image_id)
        newest = found.live or found.document or {}
        body: dict[str, Any] = {"image_id": found.image_id, "job_id": found.image_id}
        body |= filenames.name_fields(found.get("filename"), found.get("filename_guessed"))
        body |= {
            "file_size": found.get("file_size"),
            "width": found.get("origin_w") or found.get("width"),
            "height": found.get("origin_h") or found.get("height"),
            "orientation": found.get("orientation"),
            "status": found.status,
            "kind": found.get("kind"),
            "run": found.run,
            "task_id": f"{found.image_id}.{found.run}",
        }
        body |= {name: found.get(name) for name in ("reason", "failed_stage", "batch_id") if found.get(name)}
        body |= self._times(found) | self._paths(found) | metadata(found.document)
        return {**body, **self._left(found), "stages": _stages(newest.get("stages")), "results": found.document}

    def remove(self, image_id: str) -> None:
        """Delete a picture from Redis, the bucket and, a little later, the catalogue. May be repeated.

        Raises:
            NotKnown: no picture has that id.
        """
        found = self.by_id(image_id)
        may_be = bool(ID.fullmatch(image_id)) and not image_id.startswith(PROBE)
        gone = found is None and may_be and status.read(self._intake.client, image_id)
        if found is None and not gone:
            raise NotKnown(f"no picture has the id {short(image_id)}")
        if found is not None:
            self._intake.line.delete(image_id, found.get("sha256"), found.get("filename"))
        self._intake.dead.drop_of(image_id)
        original = found.get("original_path") if found else None
        erase_objects(self._intake.store, image_id, original, all_folders(self._intake.client))

    def image_key(self, image_id: str, stage: str) -> str:
        """Return the key of the picture that a stage writes.

        Raises:
            NotKnown: there is no such picture.
        """
        found = self.find(image_id)
        key = f"{stage}/{found.image_id}.jpg"
        return str(found.get("original_path") or key) if stage == "original" else key

    def _newest_named(self, filename: str) -> Found | None:
        """Return the newest picture with that name: Redis has the recent ones, the catalogue all."""
        recent = self._intake.line.newest_named(filename)
        found = self.by_id(recent) if recent else None
        if found:
            return found
        try:
            row = self._intake.catalogue.newest_named(filename)
        except Unavailable:
            if ID.fullmatch(filename):  # more likely an unknown id than a name
                return None
            raise
        return self.by_id(str(row["image_id"]), row) if row else None

    def _row(self, image_id: str) -> dict[str, Any] | None:
        """Return the catalogue's row of a picture without status and results: Redis may have lost its data."""
        try:
            return self._intake.catalogue.picture(image_id)
        except Unavailable:
            return None

    def _left(self, found: Found) -> dict[str, Any]:
        if found.status not in MOVING:
            return {"estimated_seconds_left": None, "position": None}
        stages = (found.live or {}).get("stages", {})
        done = sum(stages.get(stage.name, {}).get("state") == "done" for stage in line.LINE)
        left = time_left.remaining(self._intake.client, [found.image_id], {found.image_id: done}).get(found.image_id)
        return {"estimated_seconds_left": left and left.seconds, "position": left and left.position}

    def _times(self, found: Found) -> dict[str, Any]:
        created = found.get("created_at") or found.get("uploaded_at") or _begun(found)
        updated = found.get("updated_at") or found.get("completed_at")
        runs = (found.document or {}).get("runs") or [{}]
        ended = (found.document or {}).get("completed_at")
        took = _seconds(runs[-1].get("created_at") or created, ended)
        return {"created_at": created, "updated_at": updated, "processing_time": took}

    def _paths(self, found: Found) -> dict[str, Any]:
        bucket = self._intake.settings.s3_bucket
        original, tagged = found.get("original_path"), (found.document or {}).get("tagged_path")
        return {
            "original_path": original,
            "original_image_path": f"s3://{bucket}/{original}" if original else None,
            "processed_image_path": f"s3://{bucket}/{tagged}" if tagged else None,
        }


def metadata(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return counts of what was found and blurred; null while the stages have not finished."""
    if document is None or "detections" not in document:
        return {"detection_metadata": None, "blur_metadata": None}
    detections, faces = document.get("detections") or [], document.get("faces") or []
    found = {"count": len(detections), "by_class": Counter(str(one.get("label")) for one in detections)}
    regions = document.get("blurred_regions")
    return {
        "detection_metadata": {**found, "faces": len(faces)},
        "blur_metadata": None if regions is None else {"count": len(regions), "regions": regions},
    }


def _stages(entries: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the entries of all stages in the line's order, after that of the upload if there is one."""
    known = entries or {}
    grab = {STAGE: known[STAGE]} if STAGE in known else {}
    return grab | {stage.name: known.get(stage.name, {"state": "waiting"}) for stage in line.LINE}


def _begun(found: Found) -> str | None:
    """Return when the first run or stage began, for a picture of a foreign producer without a time."""
    runs = (found.document or {}).get("runs") or [{}]
    entries = [each for each in (found.get("stages") or {}).values() if isinstance(each, Mapping)]
    started = [str(each["started"]) for each in entries if each.get("started")]
    return runs[0].get("created_at") or min(started, default=None)


def _seconds(begun: object, ended: object) -> float | None:
    try:
        took = datetime.fromisoformat(str(ended)) - datetime.fromisoformat(str(begun))
    except (ValueError, TypeError):
        return None
    return round(max(0.0, took.total_seconds()), 3)


def short(given: str) -> str:
    """Return a given text, cut for an answer that repeats it."""
    return given if len(given) <= 80 else f"{given[:80]}…"  # noqa: PLR2004


def lookup() -> PictureLookup:
    """Return the lookup of the running application."""
    return PictureLookup(intake())

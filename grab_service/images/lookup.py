"""What is known of a picture: from Redis while it moves and for a while after, then from its results."""

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
    """A picture: its status in Redis, its results, or both. What is newer is the status."""

    image_id: str
    live: Mapping[str, Any] | None
    document: Mapping[str, Any] | None
    lost: bool = False  # Redis knows nothing of it, nor do results tell: ``live`` is the catalogue's row

    @property
    def status(self) -> str:
        """Where it stands."""
        return str((self.live or self.document or {}).get("status") or "submitted")

    @property
    def run(self) -> int:
        """Which time it goes, or went, down the line."""
        return int(self.get("run") or 1)

    def get(self, name: str) -> Any:
        """A field, of the status where it has it, else of the results."""
        for source in (self.live, self.document):
            if source and source.get(name) not in (None, ""):
                return source[name]
        return None


class PictureLookup:
    """Tells of pictures."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def find(self, image_id: str) -> Found:
        """Find a picture by its id, or else the newest of that filename, in whichever normal form it is typed.

        Raises:
            NotKnown: there is none.
        """
        found = self.by_id(image_id)
        if found is None and filenames.is_seen(image_id):
            found = self._newest_named(image_id)
        if found is None:
            raise NotKnown(f"no picture has the id or the filename {short(image_id)}")
        return found

    def by_id(self, image_id: str, row: Mapping[str, Any] | None = None) -> Found | None:
        """Find a picture by its id; None where there is none, or it was deleted. ``row``: the catalogue's, if known."""
        if not ID.fullmatch(image_id) or image_id.startswith(PROBE):  # a probe is nobody's
            return None
        live = status.read(self._intake.client, image_id)
        if live is not None and live.get("status") == DELETED:
            return None
        document = None if live and live.get("status") in MOVING else self.results(image_id)
        if live or document:
            return Found(image_id, live, document)
        row = row or self._row(image_id)
        return (
            Found(image_id, {**row, "created_at": row["uploaded_at"], "stages": {}}, None, lost=True) if row else None
        )

    def results(self, image_id: str) -> Mapping[str, Any] | None:
        """Return results/<id>.json; None where there is none."""
        try:
            document: Mapping[str, Any] = json.loads(self._intake.store.get(results.key(image_id)))
        except NotFound:
            return None
        return document

    def status(self, image_id: str) -> dict[str, Any]:
        """Tell where a picture is, what each stage did, and, at the end, what was found.

        Raises:
            NotKnown: no picture has that id.
        """
        found = self.find(image_id)
        said = found.live or found.document or {}
        told: dict[str, Any] = {"image_id": found.image_id, "job_id": found.image_id}
        told |= filenames.name_fields(found.get("filename"), found.get("filename_guessed"))
        told |= {
            "file_size": found.get("file_size"),
            "width": found.get("origin_w") or found.get("width"),
            "height": found.get("origin_h") or found.get("height"),
            "orientation": found.get("orientation"),
            "status": found.status,
            "kind": found.get("kind"),
            "run": found.run,
        }
        told |= {"task_id": f"{found.image_id}.{found.run}"}
        told |= {name: found.get(name) for name in ("reason", "failed_stage", "batch_id") if found.get(name)}
        told |= self._times(found) | self._paths(found) | metadata(found.document)
        return {**told, **self._left(found), "stages": _stages(said.get("stages")), "results": found.document}

    def remove(self, image_id: str) -> None:
        """Delete a picture: all that Redis, the bucket and, in a moment, the catalogue have of it. May be repeated.

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
        """Return where a picture is as a stage leaves it, once it has come to it.

        Raises:
            NotKnown: there is no such picture.
        """
        found = self.find(image_id)
        key = f"{stage}/{found.image_id}.jpg"
        return str(found.get("original_path") or key) if stage == "original" else key

    def _newest_named(self, filename: str) -> Found | None:
        """The newest picture of that name: Redis knows those of the last hour, the catalogue all."""
        recent = self._intake.line.newest_named(filename)
        found = self.by_id(recent) if recent else None
        if found:
            return found
        try:
            row = self._intake.catalogue.newest_named(filename)
        except Unavailable:
            if ID.fullmatch(filename):  # it is more likely an id that nobody has
                return None
            raise
        return self.by_id(str(row["image_id"]), row) if row else None

    def _row(self, image_id: str) -> dict[str, Any] | None:
        """What the catalogue says of a picture that has neither a status nor results: Redis may have lost its data."""
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
    """What was found and what was blurred, in short; null where the line has not come so far."""
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
    """Every stage in the line's order, and the API's own where it took the picture in."""
    known = entries or {}
    grab = {STAGE: known[STAGE]} if STAGE in known else {}
    return grab | {stage.name: known.get(stage.name, {"state": "waiting"}) for stage in line.LINE}


def _begun(found: Found) -> str | None:
    """When a picture that another producer sent, which said no time, began its first run, or its first stage."""
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
    """What somebody gave, as an answer repeats it."""
    return given if len(given) <= 80 else f"{given[:80]}…"  # noqa: PLR2004 - what is repeated stays readable


def lookup() -> PictureLookup:
    """What the running application knows of pictures."""
    return PictureLookup(intake())

"""Sends waiting pictures on, and others down the line again: by POST /process and from the dead letters."""

from collections.abc import Mapping, Sequence
from typing import Any

from grab_service.api.problems import NotNow
from grab_service.api.schemas.line import MAX_REPLAYS
from grab_service.images.lookup import PictureLookup
from grab_service.line.intake import Intake
from stageline.broker import dead_letters
from stageline.broker.redis_client import Result
from stageline.core.errors import NotFound, StagelineError, Unavailable
from stageline.pipeline import rerun
from stageline.pipeline.results import MOVING

# Fields of a lost picture.
ROW = ("filename", "filename_guessed", "file_size", "original_path", "sha256", "uploaded_at", "batch_id", "run")
MOVES = "the picture is on its way down the line: wait until it has come to its end, as GET /status/{} tells"


class Reruns:
    """Sends pictures down the line again."""

    def __init__(self, intake: Intake, lookup: PictureLookup) -> None:
        self._intake, self._lookup = intake, lookup

    def process(self, image_id: str, stage: str | None) -> dict[str, Any]:
        """Send a waiting picture on, or a finished one again from a stage.

        Raises:
            NotKnown: there is no such picture.
            NotNow: the picture is moving, or the inputs of that stage are gone.
            LineFull: the line is full.
        """
        found = self._lookup.find(image_id)
        if found.status in MOVING and not found.lost:
            raise NotNow(MOVES.format(found.image_id))
        document = found.document or {name: found.get(name) for name in (*ROW, "image_id") if found.get(name)}
        try:
            message, begin = rerun.prepare(document, stage, self._is_there)
        except rerun.CannotRun as error:
            raise NotNow(str(error)) from None
        result = self._intake.line.send_again(message, begin)
        if result == Result.FULL:
            raise self._intake.full()
        if result != Result.SENT:
            raise NotNow(MOVES.format(found.image_id))
        if document.get("status") == "failed":
            self._intake.dead.drop_of(found.image_id, before_run=message.run)
        task = {"task_id": f"{found.image_id}.{message.run}", "image_id": found.image_id, "run": message.run}
        return {**task, "from": begin.name, "status": "processing"}

    def replay(self, image_ids: Sequence[str] | None) -> dict[str, Any]:
        """Send the dead letters of these pictures, or all, again; return the result of each."""
        report: dict[str, Any] = {"replayed": [], "refused": [], "left": 0}
        if image_ids is None:
            return self._replay_all(report)
        unseen = dict.fromkeys(image_ids)
        for raw, content in self._intake.dead.of(set(image_ids)):
            unseen.pop(str(content.get("image_id")), None)
            self._replay(raw, content, report)
        report["refused"] += [
            {"image_id": name, "detail": "there is no dead letter of this picture"} for name in unseen
        ]
        return report

    def _replay_all(self, report: dict[str, Any]) -> dict[str, Any]:
        """Replay the oldest first, at most MAX_REPLAYS; ``left`` counts the dead letters not tried."""
        stay = 0  # dead letters that were tried and stay on the list
        while batch := self._intake.dead.some(stay):
            for raw in batch:
                stay += not self._replay(raw, dead_letters.read(raw), report)
                if len(report["replayed"]) == MAX_REPLAYS:
                    report["left"] = max(0, self._intake.dead.count() - stay)
                    return report
        return report

    def _replay(self, raw: bytes, content: Mapping[str, Any], report: dict[str, Any]) -> bool:
        """Replay a dead letter and record the result; False if it stays on the list."""
        image_id = content.get("image_id")
        try:
            message = self._intake.dead.replay(raw, content)
        except Unavailable:
            raise
        except StagelineError as error:
            if len(report["refused"]) < MAX_REPLAYS:
                report["refused"].append({"image_id": image_id, "detail": str(error)})
            return False
        if message is None:
            report["refused"].append({"image_id": image_id, "detail": "it was sent again, or deleted, meanwhile"})
        else:
            report["replayed"].append({"image_id": image_id, "task_id": f"{image_id}.{message.run}"})
        return True

    def _is_there(self, key: str) -> bool:
        try:
            self._intake.store.stat(key)
        except NotFound:
            return False
        return True

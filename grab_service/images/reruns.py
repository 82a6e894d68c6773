"""Sending pictures on that wait, or down the line again: by POST /process, and from the dead letters."""

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

# What a lost picture has.
ROW = ("filename", "filename_guessed", "file_size", "original_path", "sha256", "uploaded_at", "batch_id", "run")
MOVES = "the picture is on its way down the line: wait until it has come to its end, as GET /status/{} tells"


class Reruns:
    """Sends pictures again."""

    def __init__(self, intake: Intake, lookup: PictureLookup) -> None:
        self._intake, self._lookup = intake, lookup

    def process(self, image_id: str, stage: str | None) -> dict[str, Any]:
        """Send a picture on, or again from a stage.

        Raises:
            NotKnown: there is no such picture.
            NotNow: it is on its way, or what that stage takes is gone.
            LineFull: the line takes no more now.
        """
        found = self._lookup.find(image_id)
        if found.status in MOVING and not found.lost:
            raise NotNow(MOVES.format(found.image_id))
        document = found.document or {name: found.get(name) for name in (*ROW, "image_id") if found.get(name)}
        try:
            message, begin = rerun.prepare(document, stage, self._is_there)
        except rerun.CannotRun as error:
            raise NotNow(str(error)) from None
        came = self._intake.line.send_again(message, begin)
        if came == Result.FULL:
            raise self._intake.full()
        if came != Result.SENT:
            raise NotNow(MOVES.format(found.image_id))
        if document.get("status") == "failed":
            self._intake.dead.drop_of(found.image_id, before_run=message.run)
        told = {"task_id": f"{found.image_id}.{message.run}", "image_id": found.image_id, "run": message.run}
        return {**told, "from": begin.name, "status": "processing"}

    def replay(self, image_ids: Sequence[str] | None) -> dict[str, Any]:
        """Send dead letters again, those of these pictures or all; tell what came of each."""
        told: dict[str, Any] = {"replayed": [], "refused": [], "left": 0}
        if image_ids is None:
            return self._replay_all(told)
        unseen = dict.fromkeys(image_ids)
        for raw, content in self._intake.dead.of(set(image_ids)):
            unseen.pop(str(content.get("image_id")), None)
            self._replay(raw, content, told)
        told["refused"] += [{"image_id": name, "detail": "there is no dead letter of this picture"} for name in unseen]
        return told

    def _replay_all(self, told: dict[str, Any]) -> dict[str, Any]:
        """The oldest first, MAX_REPLAYS at a time; ``left``: how many were not come to."""
        stay = 0  # those that were looked at, and are on the list still
        while letters := self._intake.dead.some(stay):
            for raw in letters:
                stay += not self._replay(raw, dead_letters.read(raw), told)
                if len(told["replayed"]) == MAX_REPLAYS:
                    told["left"] = max(0, self._intake.dead.count() - stay)
                    return told
        return told

    def _replay(self, raw: bytes, content: Mapping[str, Any], told: dict[str, Any]) -> bool:
        """Note what comes of a letter; False where it stays on the list."""
        image_id = content.get("image_id")
        try:
            message = self._intake.dead.replay(raw, content)
        except Unavailable:
            raise
        except StagelineError as error:
            if len(told["refused"]) < MAX_REPLAYS:
                told["refused"].append({"image_id": image_id, "detail": str(error)})
            return False
        if message is None:
            told["refused"].append({"image_id": image_id, "detail": "it was sent again, or deleted, meanwhile"})
        else:
            told["replayed"].append({"image_id": image_id, "task_id": f"{image_id}.{message.run}"})
        return True

    def _is_there(self, key: str) -> bool:
        try:
            self._intake.store.stat(key)
        except NotFound:
            return False
        return True

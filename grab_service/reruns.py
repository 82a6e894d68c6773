"""Sending pictures on that wait, or down the line again: by POST /process, and from the dead letters."""

from collections.abc import Sequence
from typing import Any

from grab_service.door import GrabDoor
from grab_service.known import MOVING, Known
from grab_service.problems import NotNow
from stageline import rerun
from stageline.errors import NotFound, StagelineError, Unavailable

ROW = ("filename", "file_size", "original_path", "sha256", "uploaded_at", "batch_id", "run")  # what a lost picture has
SENT, FULL = "sent", "full"
MOVES = "the picture is on its way down the line: wait until it has come to its end, as GET /status/{} tells"


class Reruns:
    """Sends pictures again."""

    def __init__(self, door: GrabDoor, known: Known) -> None:
        self._door, self._known = door, known

    def process(self, image_id: str, stage: str | None) -> dict[str, Any]:
        """Send a picture on, or again from a stage.

        Raises:
            NotKnown: there is no such picture.
            NotNow: it is on its way, or what that stage takes is gone.
            LineFull: the line takes no more now.
        """
        found = self._known.find(image_id)
        if found.status in MOVING and not found.lost:
            raise NotNow(MOVES.format(found.image_id))
        document = found.document or {name: found.get(name) for name in (*ROW, "image_id") if found.get(name)}
        try:
            message, begin = rerun.prepare(document, stage, self._is_there)
        except rerun.CannotRun as error:
            raise NotNow(str(error)) from None
        came = self._door.line.send_again(message, begin)
        if came == FULL:
            raise self._door.full()
        if came != SENT:
            raise NotNow(MOVES.format(found.image_id))
        if document.get("status") == "failed":
            self._door.dead.drop_of(found.image_id, before_run=message.run)
        told = {"task_id": f"{found.image_id}.{message.run}", "image_id": found.image_id, "run": message.run}
        return {**told, "from": begin.name, "status": "processing"}

    def replay(self, image_ids: Sequence[str] | None) -> dict[str, Any]:
        """Send dead letters again, those of these pictures or all; tell what came of each."""
        replayed: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        unseen = dict.fromkeys(image_ids or ())
        for raw, content in self._door.dead.list():
            image_id = content.get("image_id")
            if image_ids is not None and image_id not in unseen:
                continue
            unseen.pop(str(image_id), None)
            try:
                message = self._door.dead.replay(raw, content)
            except Unavailable:
                raise
            except StagelineError as error:
                refused.append({"image_id": image_id, "detail": str(error)})
                continue
            if message is None:
                gone = "it was sent again, or deleted, meanwhile"
                refused.append({"image_id": image_id, "detail": gone})
            else:
                replayed.append({"image_id": image_id, "task_id": f"{image_id}.{message.run}"})
        refused += [{"image_id": name, "detail": "there is no dead letter of this picture"} for name in unseen]
        return {"replayed": replayed, "refused": refused}

    def _is_there(self, key: str) -> bool:
        try:
            self._door.store.stat(key)
        except NotFound:
            return False
        return True

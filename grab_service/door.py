"""What the door does, apart from HTTP: accept a picture, tell its status, show its stages."""

import json
import time
from collections.abc import Mapping
from typing import Any

from grab_service.uploads import STAGE, take_in
from stageline import health, images, line, logs, results, status
from stageline.dead import DeadLetters
from stageline.errors import NotFound, StagelineError
from stageline.message import ID, Message
from stageline.queue import Door
from stageline.settings import Settings
from stageline.store import ObjectStore

SHOWN_FIELDS = ("filename", "file_size", "status", "reason", "created_at", "updated_at", "original_path")
SHOWN_FOLDERS = {name: name for name in ("original", "resized", "grayscale", "tagged", "blurred")}


class LineFull(StagelineError):
    """As many accepted pictures are unfinished as MAX_QUEUE_SIZE allows."""


class NotKnown(StagelineError):
    """There is no such picture, or not that of it."""


class GrabDoor:
    """The door's state: the queue's producer side, and the object store."""

    def __init__(self, store: ObjectStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._line = Door(settings.redis_url, settings.max_queue_size)
        self._dead = DeadLetters(self._line.client)

    def refuse_when_full(self) -> None:
        """Say so before a body is read.

        Raises:
            LineFull: the line takes no more now.
        """
        if self._line.is_full():
            raise self._full()

    def accept(self, data: bytes, filename: str, trace: str) -> Message:
        """Check a picture, store it, queue it. Once this returns, the picture is not lost.

        Raises:
            BadImage: it is not a picture that the line takes.
            LineFull: the line takes no more now.
            Unavailable: Redis or the object store is away.
        """
        started = time.monotonic()
        found = self._settings
        message, original = take_in(data, filename, trace, found.max_image_pixels, found.worker_id)
        self._store.put(original)
        if not self._line.accept(message, status.opened(message)):
            self._store.delete(message.original_path)
            raise self._full()
        ms = round(1000 * (time.monotonic() - started), 1)
        logs.get().info("accepted", image_id=message.image_id, stage=STAGE, attempt=1, ms=ms, key=message.original_path)
        return message

    def status(self, image_id: str) -> dict[str, Any]:
        """Tell where a picture is, what each stage did, and, at the end, what was found.

        Raises:
            NotKnown: no picture has that id.
        """
        _check_id(image_id)
        found = status.read(self._line.client, image_id)
        ended = found is None or found.get("status") in ("completed", "failed")
        document = self._results(image_id) if ended else None
        if found is None:
            if document is None:
                raise NotKnown(f"no picture has the id {image_id}")
            found = {name: document.get(name) for name in ("filename", "file_size", "original_path", "status")}
            found |= {"updated_at": document.get("completed_at"), "stages": document.get("stages", {})}
        stages = {STAGE: found["stages"][STAGE]} if STAGE in found["stages"] else {}  # not of a foreign producer's
        stages |= {stage.name: found["stages"].get(stage.name, {"state": "waiting"}) for stage in line.LINE}
        shown = {name: found[name] for name in SHOWN_FIELDS if name in found}
        return {"image_id": image_id, **shown, "stages": stages, "results": document}

    def image(self, image_id: str, stage: str) -> tuple[bytes, str]:
        """Return a picture as a stage left it, with its media type.

        Raises:
            NotKnown: no such picture, no such stage, or the stage has not come to it yet.
        """
        _check_id(image_id)
        if stage not in SHOWN_FOLDERS:
            raise NotKnown(f"stage must be one of {', '.join(SHOWN_FOLDERS)}, not {stage!r}")
        key = f"{SHOWN_FOLDERS[stage]}/{image_id}.jpg"
        if stage == "original":
            key = str(self.status(image_id).get("original_path") or key)
        try:
            data = self._store.get(key)
        except NotFound:
            raise NotKnown(f"{key} is not there (yet): see /status/{image_id}") from None
        return data, images.probe(data, self._settings.max_image_pixels).content_type

    def queues(self) -> dict[str, Any]:
        """Count what waits, is in flight, is delayed and is dead, by stage and in all."""
        stages = self._line.depths()
        dead = self._dead.counts()
        for name, counts in stages.items():
            counts["dead"] = dead.get(name, 0)
        total = {state: sum(counts[state] for counts in stages.values()) for state in next(iter(stages.values()))}
        return {"stages": stages, "total": total, "unfinished": self._line.unfinished(), **self._limit()}

    def check_queue(self) -> None:
        """Reach Redis, and make sure that it is new enough."""
        health.check_redis(self._line.client)

    def check_store(self) -> None:
        """Reach the object store."""
        self._store.check()

    def _results(self, image_id: str) -> Mapping[str, Any] | None:
        try:
            document: Mapping[str, Any] = json.loads(self._store.get(results.key(image_id)))
        except NotFound:
            return None
        return document

    def _limit(self) -> dict[str, int]:
        return {"max_queue_size": self._settings.max_queue_size}

    def _full(self) -> LineFull:
        most = self._settings.max_queue_size
        return LineFull(f"{most} pictures are on their way, which is all that MAX_QUEUE_SIZE allows; try again soon")


def _check_id(image_id: str) -> None:
    if not ID.fullmatch(image_id):
        raise NotKnown(f"an id matches {ID.pattern}")

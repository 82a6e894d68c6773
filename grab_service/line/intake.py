"""What the door does, apart from HTTP: take pictures in, count what waits, reach its servers."""

import time
from dataclasses import dataclass
from typing import Any, cast

from flask import current_app

from grab_service.api.problems import LineFull
from grab_service.line.claims import HeldClaims
from grab_service.line.probes import Probes
from stageline.broker import status
from stageline.broker.dead_letters import DeadLetters
from stageline.broker.keys import status_key
from stageline.broker.queue import Producer
from stageline.broker.redis_client import check_writes, reaching_redis
from stageline.catalogue.engine import open_engine
from stageline.catalogue.reader import Catalogue
from stageline.core import logs
from stageline.core.errors import NotFound, Unavailable
from stageline.core.settings import Settings
from stageline.maintenance.reaper import Reaper
from stageline.pipeline import results
from stageline.pipeline.first_message import STAGE, take_in
from stageline.pipeline.message import Message
from stageline.store import ObjectStore

PREPROCESSED = "detect"  # the stage after which a picture waits that is only to be preprocessed: its kind is known then
ROOMY, ROOMY_SECONDS = 100, 0.1  # with room for so many more it is not asked again for a while: accepting asks anyway


@dataclass(frozen=True)
class Wanted:
    """How a picture is to be taken in."""

    process: bool = True
    dedupe: bool = False
    batch_id: str | None = None
    image_id: str | None = None
    again: bool = False  # an earlier request had chosen that id: it may have been taken in already
    probe: bool = False
    filename_guessed: bool = False  # its name came in no encoding that was said, nor UTF-8

    def fields(self) -> dict[str, Any]:
        """What its message says of that."""
        said: dict[str, Any] = {}
        if not self.process:
            said["until"] = PREPROCESSED
        if self.batch_id:
            said["batch_id"] = self.batch_id
        if self.filename_guessed:
            said["filename_guessed"] = True
        if self.probe:
            said |= {"probe": True, "until": "classify"}
        return said


@dataclass(frozen=True)
class Taken:
    """A picture that was taken in, or that was there already."""

    image_id: str
    message: Message

    @property
    def duplicate(self) -> bool:
        """Whether another of the same content was there already, so that this one was not taken."""
        return self.image_id != self.message.image_id


class Intake:
    """The door's state: the queue's producer side, and the object store."""

    def __init__(self, store: ObjectStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.line = Producer(settings.redis_url, settings.max_queue_size, settings.status_ttl)
        self.client = self.line.client
        self.holds = HeldClaims(self.line.scripts)
        self.dead = DeadLetters(self.client)
        self.catalogue = Catalogue(open_engine(settings))  # dialled when first asked
        self.probes = Probes(self.client, store, self.catalogue, settings)
        self.housekeeper: Reaper | None = None  # where one runs beside it, in this process
        self._roomy_until = 0.0
        self.counted: tuple[dict[str, int], float] = {}, 0.0  # the catalogue's pictures by status, and until when

    def refuse_when_full(self) -> None:
        """Say so before a body is read.

        Raises:
            LineFull: the line takes no more now.
        """
        now = time.monotonic()
        if now < self._roomy_until:
            return
        unfinished, most = self.line.unfinished(), self.settings.max_queue_size
        if unfinished >= most:
            raise self.full()
        if most - unfinished > ROOMY:
            self._roomy_until = now + ROOMY_SECONDS

    def accept(self, data: bytes, filename: str, trace: str, wanted: Wanted) -> Taken:
        """Check a picture, store it, queue it. Once this returns, the picture is not lost.

        Raises:
            BadImage: it is not a picture that the line takes.
            LineFull: the line takes no more now.
            Unavailable: Redis or the object store is away.
        """
        started = time.monotonic()
        found = self.settings
        message, original = take_in(
            data, filename, trace, found.max_image_pixels, found.worker_id, wanted.image_id, wanted.fields()
        )
        if wanted.again and self._was_taken(message.image_id):
            return Taken(message.image_id, message)
        old = self._catalogued(message) if wanted.dedupe else None
        if old:
            return Taken(old, message)
        check_writes(self.client)  # else each try of an upload that is refused would leave an original
        self.store.put(original)
        there = self.line.accept(message, dedupe=wanted.dedupe)
        if there != message.image_id:
            self.store.delete(message.original_path)
        if there is None:
            raise self.full()
        if there == message.image_id:
            ms = round(1000 * (time.monotonic() - started), 1)
            key = message.original_path
            logs.get().info("accepted", image_id=message.image_id, stage=STAGE, attempt=1, ms=ms, key=key)
        return Taken(there, message)

    def _was_taken(self, image_id: str) -> bool:
        """Whether a picture was accepted under an id that a request before this one had chosen."""
        if status.read(self.client, image_id) is not None:
            return True
        try:
            self.store.stat(results.key(image_id))
        except NotFound:
            return False
        return True

    def _catalogued(self, message: Message) -> str | None:
        """The id of a picture of the same content, as the catalogue knows it: Redis knows only the last day's."""
        try:
            row = self.catalogue.by_sha256(str(message.fields["sha256"]))
        except Unavailable:
            return None
        if row is None or row["image_id"] == message.image_id:
            return None
        live = status.read(self.client, row["image_id"]) or {}
        return None if live.get("status") in ("deleted", "failed") else str(row["image_id"])

    def estimate(self, image_id: str) -> float | None:
        """The seconds that an accepted picture will take, by what the last ones took; None while that is not known."""
        try:
            with reaching_redis():
                found = cast("bytes | None", self.client.hget(status_key(image_id), "estimate"))
        except Unavailable:  # the picture is accepted all the same
            return None
        return round(float(found), 2) if found else None

    def queues(self) -> dict[str, Any]:
        """Count what waits, is in flight, is delayed and is dead, by stage and in all; the first three are pending."""
        stages = self.line.depths()
        dead = self.dead.counts()
        for name, counts in stages.items():
            counts["pending"] = sum(counts.values())  # what KEDA scales by
            counts["dead"] = dead.get(name, 0)
        total = {state: sum(counts[state] for counts in stages.values()) for state in next(iter(stages.values()))}
        most = self.settings.max_queue_size
        return {"stages": stages, "total": total, "unfinished": self.line.unfinished(), "max_queue_size": most}

    def full(self) -> LineFull:
        """The line takes no more."""
        most = self.settings.max_queue_size
        return LineFull(f"{most} pictures are on their way, which is all that MAX_QUEUE_SIZE allows; try again soon")


def door() -> Intake:
    """The door of the running application."""
    return cast("Intake", current_app.config["DOOR"])

"""The API without HTTP: accepts pictures, counts messages and connects to the servers."""

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
from stageline.broker.producer import Producer
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

PREPROCESSED = "detect"  # with process=false a picture waits after this stage, which finds its kind
ROOMY, ROOMY_SECONDS = 100, 0.1  # with so much room it is not checked again so long: accepting checks anyway


@dataclass(frozen=True)
class Wanted:
    """The options of an upload."""

    process: bool = True
    dedupe: bool = False
    batch_id: str | None = None
    image_id: str | None = None
    again: bool = False  # an earlier request chose image_id: the picture may be accepted already
    probe: bool = False
    filename_guessed: bool = False  # whether the encoding of the filename is a guess

    def fields(self) -> dict[str, Any]:
        """Return the fields of the message that these options set."""
        until = "classify" if self.probe else None if self.process else PREPROCESSED
        flags = {"filename_guessed": self.filename_guessed, "probe": self.probe}
        return {name: value for name, value in {"until": until, "batch_id": self.batch_id, **flags}.items() if value}


@dataclass(frozen=True)
class Taken:
    """An accepted picture, or an earlier one of the same content."""

    image_id: str
    message: Message

    @property
    def duplicate(self) -> bool:
        """Whether the picture was not accepted because there is one of the same content."""
        return self.image_id != self.message.image_id


class Intake:
    """The API's state: the producer, the claims, the object store, the catalogue and the probes."""

    def __init__(self, store: ObjectStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.line = Producer(settings.redis_url, settings.max_queue_size, settings.status_ttl)
        self.client = self.line.client
        self.claims = HeldClaims(self.line.scripts)
        self.dead = DeadLetters(self.client)
        self.catalogue = Catalogue(open_engine(settings))  # connects at the first query
        self.probes = Probes(self.client, store, self.catalogue, settings)
        self.reaper: Reaper | None = None  # if one runs in this process
        self._roomy_until = 0.0
        self.counted: tuple[dict[str, int], float] = (
            {},
            0.0,
        )  # the catalogue's pictures by status, and until when this is valid

    def refuse_when_full(self) -> None:
        """Check for room before the body is read.

        Raises:
            LineFull: the line is full.
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
            BadImage: the data is not a picture that the line accepts.
            LineFull: the line is full.
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
        check_writes(self.client)  # otherwise each refused upload would leave an original
        self.store.put(original)
        accepted = self.line.accept(message, dedupe=wanted.dedupe)
        if accepted != message.image_id:
            self.store.delete(message.original_path)
        if accepted is None:
            raise self.full()
        if accepted == message.image_id:
            ms = round(1000 * (time.monotonic() - started), 1)
            key = message.original_path
            logs.get().info("accepted", image_id=message.image_id, stage=STAGE, attempt=1, ms=ms, key=key)
        return Taken(accepted, message)

    def _was_taken(self, image_id: str) -> bool:
        """Return whether an earlier request has accepted a picture with this id."""
        if status.read(self.client, image_id) is not None:
            return True
        try:
            self.store.stat(results.key(image_id))
        except NotFound:
            return False
        return True

    def _catalogued(self, message: Message) -> str | None:
        """Return the id of a picture of the same content in the catalogue: Redis only has those of the last day."""
        try:
            row = self.catalogue.by_sha256(str(message.fields["sha256"]))
        except Unavailable:
            return None
        if row is None or row["image_id"] == message.image_id:
            return None
        live = status.read(self.client, row["image_id"]) or {}
        return None if live.get("status") in ("deleted", "failed") else str(row["image_id"])

    def estimate(self, image_id: str) -> float | None:
        """Estimate the seconds for an accepted picture from the last ones; None while there are none."""
        try:
            with reaching_redis():
                found = cast("bytes | None", self.client.hget(status_key(image_id), "estimate"))
        except Unavailable:  # the picture is accepted nevertheless
            return None
        return round(float(found), 2) if found else None

    def queues(self) -> dict[str, Any]:
        """Count messages waiting, in flight, delayed and dead, by stage and in total; the first three are pending."""
        stages = self.line.depths()
        dead = self.dead.counts()
        for name, counts in stages.items():
            counts["pending"] = sum(counts.values())  # KEDA scales by this
            counts["dead"] = dead.get(name, 0)
        total = {state: sum(counts[state] for counts in stages.values()) for state in next(iter(stages.values()))}
        most = self.settings.max_queue_size
        return {"stages": stages, "total": total, "unfinished": self.line.unfinished(), "max_queue_size": most}

    def full(self) -> LineFull:
        """Return the error for a full line."""
        most = self.settings.max_queue_size
        return LineFull(f"{most} pictures are on their way, which is all that MAX_QUEUE_SIZE allows; try again soon")


def intake() -> Intake:
    """Return the intake of the running application."""
    return cast("Intake", current_app.config["INTAKE"])

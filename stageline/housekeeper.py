"""The housekeeper, in grab_service because that always runs: releases retries, and returns what dead workers held."""

import threading
import time
from typing import cast

from stageline import dead, line, logs, metrics, results
from stageline.errors import BadMessage, NewerMessage, Unavailable
from stageline.keys import WORKERS, delayed_key, in_flight_key, queue_of
from stageline.message import Message
from stageline.queue import bury
from stageline.redis_client import Call, Scripts, connect, reaching_redis
from stageline.settings import Settings
from stageline.status import stage_fields
from stageline.store import ObjectStore

SWEEP_SECONDS = 1.0
GRACE_SECONDS = 5.0  # after an outage, so that living workers beat before anyone is called dead
FORGET_SECONDS = 60.0  # longer than a pop can wait on the server for a client that is gone
AT_ONCE = 500


class Housekeeper(threading.Thread):
    """Sweeps once a second; any number may run at once, since each step is atomic and finds its work or does not."""

    def __init__(self, store: ObjectStore, settings: Settings) -> None:
        super().__init__(name="housekeeper", daemon=True)
        self._client = connect(settings.redis_url)
        self._scripts = Scripts(self._client)
        self._store = store
        self._settings = settings
        self._ended = threading.Event()
        self._quiet_until = time.monotonic() + GRACE_SECONDS

    def run(self) -> None:
        """Sweep until ended."""
        while not self._ended.wait(SWEEP_SECONDS):
            try:
                self.sweep()
            except Unavailable:
                self._quiet_until = time.monotonic() + GRACE_SECONDS
            except Exception:  # noqa: BLE001 - the house is kept whatever one sweep ran into
                logs.get().exception("the housekeeper failed; it tries again")

    def end(self) -> None:
        """Stop sweeping."""
        self._ended.set()

    def sweep(self) -> None:
        """Release what is due, and return what dead workers held.

        A picture that is given back counts an attempt, whatever its worker was doing: what killed it is not known.

        Raises:
            Unavailable: Redis or the object store is away.
        """
        for stage in line.LINE:
            while self._scripts.run(Call("release", [delayed_key(stage.queue), stage.queue], [AT_ONCE])) == AT_ONCE:
                pass
        if time.monotonic() < self._quiet_until:
            return
        lapsed = self._scripts.run(Call("lapsed", [WORKERS], [self._settings.lease_seconds]))
        for identity in (member.decode() for member in lapsed):
            self._return_what_was_held(identity)
            self._scripts.run(Call("forget", [WORKERS, in_flight_key(identity)], [identity, FORGET_SECONDS]))

    def _return_what_was_held(self, identity: str) -> None:
        with reaching_redis():
            held = cast("list[bytes]", self._client.lrange(in_flight_key(identity), 0, -1))
        stage = next((stage for stage in line.LINE if stage.queue == queue_of(identity)), None)
        if stage is None:
            return
        for raw in reversed(held):  # the first taken ends up first again
            self._return(stage, identity, raw)

    def _return(self, stage: line.Stage, identity: str, raw: bytes) -> None:
        """Count the crash as an attempt and queue the message again, or bury it after too many."""
        try:
            message = Message.decode(raw)
        except (BadMessage, NewerMessage):
            again = raw  # a living worker will say what is wrong with it
        else:
            if message.attempt >= self._settings.max_attempts:
                self._bury(stage, identity, message)
                return
            again = message.retried().raw
        if self._scripts.run(Call("put_back", [in_flight_key(identity), stage.queue], [raw, again])):
            metrics.RETURNED.labels(stage.name).inc()
            logs.get().warning("returned", stage=stage.name, dead_worker=identity)

    def _bury(self, stage: line.Stage, identity: str, message: Message) -> None:
        reason = f"its worker died, at attempt {message.attempt} of {self._settings.max_attempts}"
        entry = {"state": "failed", "attempt": message.attempt, "worker": identity, "reason": reason, "key": None}
        self._store.put(results.failed(message, stage.name, reason, entry))
        letter = dead.letter(stage.name, message.raw, reason, message=message, attempt=message.attempt)
        fields = {**stage_fields(stage.name, entry, "failed"), "reason": reason}
        ttl = self._settings.status_ttl
        if self._scripts.run(bury(identity, message.raw, letter, message.image_id, ttl, fields)):
            logs.get().error("buried", image_id=message.image_id, stage=stage.name, reason=reason)

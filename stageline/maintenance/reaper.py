"""The housekeeper, in grab_service because that always runs: releases retries, and returns what dead workers held."""

import threading
import time
from typing import Any, cast

from stageline.broker.keys import delayed_key, in_flight_key, queue_of
from stageline.broker.redis_client import Call, Scripts, check_writes, connect, reaching_redis
from stageline.core import logs, metrics
from stageline.core.errors import BadMessage, NewerMessage, Unavailable
from stageline.core.retrying import SWEEP
from stageline.core.settings import Settings
from stageline.core.timestamps import now
from stageline.pipeline import line
from stageline.pipeline.message import Message

GRACE_SECONDS = 5.0  # after an outage, so that living workers beat before anyone is called dead
JUMP_SECONDS = 1.0  # by which Redis's clock was set, rather than asked for slowly
FORGET_SECONDS = 60.0  # longer than a pop can wait on the server for a client that is gone
AT_ONCE = 500


class Reaper(threading.Thread):
    """Sweeps once a second; any number may run at once, since each step is atomic and finds its work or does not."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="housekeeper", daemon=True)
        self._client = connect(settings.redis_url)
        self._scripts = Scripts(self._client)
        self._settings = settings
        self._ended = threading.Event()
        self._quiet_until = time.monotonic() + GRACE_SECONDS
        self._ahead: float | None = None  # of this process's monotonic clock: Redis's, when it was last asked
        self.failing: str | None = None
        """Why the last sweep failed, when it failed in a way that nobody foresaw."""

    def run(self) -> None:
        """Sweep until ended."""
        while not self._ended.wait(SWEEP.pause(1)):
            try:
                SWEEP.call(self.sweep, self._ended, self._be_quiet)
                self.failing = None
            except Unavailable:
                return  # ended meanwhile
            except Exception as error:  # noqa: BLE001 - what one sweep ran into stops no upload; /health tells of it
                logs.get().exception("the housekeeper failed; it tries again")
                self.failing = f"the housekeeper fails, so retries and what dead workers held wait: {error!r}"

    def _be_quiet(self, _: BaseException) -> None:
        self._quiet_until = time.monotonic() + GRACE_SECONDS

    def end(self) -> None:
        """Stop sweeping."""
        self._ended.set()

    def sweep(self) -> None:
        """Release what is due, and return what dead workers held.

        Raises:
            Unavailable: Redis is away, or takes no writes now.
        """
        check_writes(self._client)  # while it takes none, who lives cannot beat, and reading alone would not tell
        for stage in line.LINE:
            due = Call("release", delayed=delayed_key(stage.queue), queue=stage.queue, most=AT_ONCE)
            while self._scripts.run(due) == AT_ONCE:
                pass
        self._notice_a_jump()
        if time.monotonic() < self._quiet_until:
            return
        lapsed = self._scripts.run(Call("expired_leases", lease=self._settings.lease_seconds))
        for identity in (member.decode() for member in lapsed):
            self._return_what_was_held(identity)
            list_key = in_flight_key(identity)
            self._scripts.run(Call("forget", in_flight=list_key, identity=identity, silent_seconds=FORGET_SECONDS))

    def _notice_a_jump(self) -> None:
        """Give the living a lease's time to beat where Redis's clock was set: by the new one all would look dead."""
        with reaching_redis():
            second, microsecond = self._client.time()
        ahead = second + microsecond / 1e6 - time.monotonic()
        if self._ahead is not None and abs(ahead - self._ahead) > JUMP_SECONDS:
            self._quiet_until = max(self._quiet_until, time.monotonic() + self._settings.lease_seconds)
        self._ahead = ahead

    def _return_what_was_held(self, identity: str) -> None:
        with reaching_redis():
            held = cast("list[bytes]", self._client.lrange(in_flight_key(identity), 0, -1))
        for raw in reversed(held):  # the first taken ends up first again
            self._return(identity, raw)

    def _return(self, identity: str, raw: bytes) -> None:
        """Queue a message again, one attempt more: what killed its worker is not known.

        After too many attempts the next worker buries it, unworked; so whoever buries holds what is buried.
        """
        image_id, again = None, raw
        queue = queue_of(identity)
        stage = next((stage.name for stage in line.LINE if stage.queue == queue), queue)
        try:
            message = Message.decode(raw)
            image_id, again = message.image_id, message.retried(stage, _lost(message, identity)).raw
        except (BadMessage, NewerMessage):
            pass  # a living worker will say what is wrong with it
        if self._scripts.run(
            Call("put_back", in_flight=in_flight_key(identity), queue=queue, message=raw, again=again)
        ):
            metrics.RETURNED.labels(stage).inc()
            logs.get().warning("returned", image_id=image_id, stage=stage, dead_worker=identity)


def _lost(message: Message, identity: str) -> dict[str, Any]:
    """What the history says of an attempt that nobody came back from."""
    entry: dict[str, Any] = {"state": "lost", "run": message.run, "attempt": message.attempt, "worker": identity}
    return entry | {
        "started": None,
        "finished": now(),
        "ms": None,
        "key": None,
        "reason": "its worker died, or was lost",
    }

"""The reaper: queues retries that are due, and returns the messages of dead workers. grab_service runs it."""

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

GRACE_SECONDS = 5.0  # after an outage, in which living workers send a heartbeat before any lease is judged
JUMP_SECONDS = 1.0  # a larger change of Redis's clock means that it was set, not that the answer was slow
FORGET_SECONDS = 60.0  # longer than the server keeps a pop of a client that is gone
BATCH_SIZE = 500


class Reaper(threading.Thread):
    """Sweeps once a second; several may run at once, as each transition is atomic and may be repeated."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="reaper", daemon=True)
        self._client = connect(settings.redis_url)
        self._scripts = Scripts(self._client)
        self._settings = settings
        self._ended = threading.Event()
        self._quiet_until = time.monotonic() + GRACE_SECONDS
        self._ahead: float | None = None  # Redis's time minus this process's monotonic time, when last read
        self.failing: str | None = None
        """The unexpected error of the last sweep, as a sentence."""

    def run(self) -> None:
        """Sweep until ended."""
        while not self._ended.wait(SWEEP.pause(1)):
            try:
                SWEEP.call(self.sweep, self._ended, self._be_quiet)
                self.failing = None
            except Unavailable:
                return  # ended meanwhile
            except Exception as error:  # noqa: BLE001 - an error here stops no upload; /health shows it
                logs.get().exception("the reaper failed; it tries again")
                self.failing = f"the housekeeper fails, so retries and what dead workers held wait: {error!r}"

    def _be_quiet(self, _: BaseException) -> None:
        self._quiet_until = time.monotonic() + GRACE_SECONDS

    def end(self) -> None:
        """Stop sweeping."""
        self._ended.set()

    def sweep(self) -> None:
        """Queue the delayed messages that are due, and return the messages of workers whose lease expired.

        Raises:
            Unavailable: Redis cannot be reached, or takes no writes now.
        """
        check_writes(self._client)  # while Redis takes no writes, living workers cannot renew their leases
        for stage in line.LINE:
            due = Call("release", delayed=delayed_key(stage.queue), queue=stage.queue, most=BATCH_SIZE)
            while self._scripts.run(due) == BATCH_SIZE:
                pass
        self._notice_a_jump()
        if time.monotonic() < self._quiet_until:
            return
        expired = self._scripts.run(Call("expired_leases", lease=self._settings.lease_seconds))
        for identity in (member.decode() for member in expired):
            self._return_what_was_held(identity)
            list_key = in_flight_key(identity)
            self._scripts.run(Call("forget", in_flight=list_key, identity=identity, silent_seconds=FORGET_SECONDS))

    def _notice_a_jump(self) -> None:
        """Wait for a lease's time after Redis's clock was set, as all leases would look expired by the new time."""
        with reaching_redis():
            second, microsecond = self._client.time()
        ahead = second + microsecond / 1e6 - time.monotonic()
        if self._ahead is not None and abs(ahead - self._ahead) > JUMP_SECONDS:
            self._quiet_until = max(self._quiet_until, time.monotonic() + self._settings.lease_seconds)
        self._ahead = ahead

    def _return_what_was_held(self, identity: str) -> None:
        with reaching_redis():
            held = cast("list[bytes]", self._client.lrange(in_flight_key(identity), 0, -1))
        for raw in reversed(held):  # in reverse, so that the order of the queue is kept
            self._return(identity, raw)

    def _return(self, identity: str, raw: bytes) -> None:
        """Queue a message for its next attempt, as it may have killed its worker.

        After MAX_ATTEMPTS the next worker dead-letters it without working on it, as only a holder may dead-letter.
        """
        image_id, again = None, raw
        queue = queue_of(identity)
        stage = next((stage.name for stage in line.LINE if stage.queue == queue), queue)
        try:
            message = Message.decode(raw)
            image_id, again = message.image_id, message.retried(stage, _lost(message, identity)).raw
        except (BadMessage, NewerMessage):
            pass  # the next worker reports the fault
        step = Call("put_back", in_flight=in_flight_key(identity), queue=queue, message=raw, again=again)
        if self._scripts.run(step):
            metrics.RETURNED.labels(stage).inc()
            logs.get().warning("returned", image_id=image_id, stage=stage, dead_worker=identity)


def _lost(message: Message, identity: str) -> dict[str, Any]:
    """Return the history's entry of an attempt whose worker died or was lost."""
    entry: dict[str, Any] = {"state": "lost", "run": message.run, "attempt": message.attempt, "worker": identity}
    entry |= {"started": None, "finished": now(), "ms": None, "key": None}
    return entry | {"reason": "its worker died, or was lost"}

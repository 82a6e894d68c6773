"""The lease, which a thread of its own renews; work does not block it, as OpenCV and the runtimes release the GIL."""

import contextlib
import os
import threading
import time
from collections.abc import Callable

from stageline.broker.consumer import Consumer
from stageline.core import logs
from stageline.core.errors import Unavailable
from stageline.core.retrying import HEARTBEAT

EXIT_HUNG = 70  # EX_SOFTWARE, as of a crash
SAFE_SHARE = 0.8  # of a lease, by this process's clock; the rest allows for the time to reach the server


class Lease(threading.Thread):
    """Sends three heartbeats per lease; ends the process when one batch takes longer than ``work_timeout`` seconds."""

    def __init__(
        self, consumer: Consumer, seconds: float, work_timeout: float, models: Callable[[], str] = str
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self._consumer = consumer
        self._seconds = seconds
        self._work_timeout = work_timeout
        self._models = models  # returns the lacking models, as JSON, for each heartbeat; by default ""
        self._ended = threading.Event()
        self._renewed = float("-inf")
        self._unbroken_since = float("inf")
        self._announced = False
        self.busy_since: float | None = None

    def renew(self) -> None:
        """Send one heartbeat.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        before = time.monotonic()
        unbroken = self._consumer.heartbeat(self._seconds, self._models())
        if not unbroken or before - self._renewed > SAFE_SHARE * self._seconds:
            self._unbroken_since = time.monotonic()
        self._renewed = before
        self._announced = self._announced and unbroken  # broken at the first heartbeat, and after Redis lost its data
        if not self._announced:
            self._consumer.announce()
            self._announced = True

    def is_fresh(self) -> bool:
        """Whether the lease cannot have expired yet."""
        return time.monotonic() - self._renewed < SAFE_SHARE * self._seconds

    def covers(self, since: float) -> bool:
        """Whether messages popped at ``since``, in monotonic seconds, are still held: the lease never expired."""
        return self._unbroken_since <= since and self.is_fresh()

    def run(self) -> None:
        """Send heartbeats until ended."""
        while not self._ended.wait(self._seconds / 3):
            with contextlib.suppress(Unavailable):  # ended meanwhile
                HEARTBEAT.call(self._check_and_renew, self._ended)

    def _check_and_renew(self) -> None:
        self._stop_if_hung()
        self.renew()

    def end(self) -> None:
        """Stop the heartbeats; a later one would register a worker that has left."""
        self._ended.set()
        self.join(self._seconds)

    def _stop_if_hung(self) -> None:
        since = self.busy_since
        if since is not None and time.monotonic() - since > self._work_timeout:
            reason = f"one picture took longer than WORK_TIMEOUT={self._work_timeout:g} s; its message will be retried"
            logs.get().error("hung", reason=reason)
            os._exit(EXIT_HUNG)

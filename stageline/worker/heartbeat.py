"""The lease: a heartbeat in a thread of its own; the work cannot starve it, as OpenCV and the runtimes drop the GIL."""

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
SAFE_SHARE = 0.8  # of a lease, by our own clock; the rest is for the way to the server


class Lease(threading.Thread):
    """Beats three times per lease; ends the process when one piece of work takes longer than ``work_timeout``."""

    def __init__(
        self, consumer: Consumer, seconds: float, work_timeout: float, models: Callable[[], str] = str
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self._consumer = consumer
        self._seconds = seconds
        self._work_timeout = work_timeout
        self._models = models  # what each beat says of the worker's models; by default nothing
        self._ended = threading.Event()
        self._renewed = float("-inf")
        self._unbroken_since = float("inf")
        self._announced = False
        self.busy_since: float | None = None

    def renew(self) -> None:
        """Beat once.

        Raises:
            Unavailable: Redis is away.
        """
        before = time.monotonic()
        unbroken = self._consumer.heartbeat(self._seconds, self._models())
        if not unbroken or before - self._renewed > SAFE_SHARE * self._seconds:
            self._unbroken_since = time.monotonic()
        self._renewed = before
        self._announced = self._announced and unbroken  # it is broken at the first beat, and where Redis lost its data
        if not self._announced:
            self._consumer.announce()
            self._announced = True

    def is_fresh(self) -> bool:
        """Whether the lease cannot have run out yet."""
        return time.monotonic() - self._renewed < SAFE_SHARE * self._seconds

    def covers(self, since: float) -> bool:
        """Whether nobody can have given away what was asked for at ``since``: no gap between two beats since then."""
        return self._unbroken_since <= since and self.is_fresh()

    def run(self) -> None:
        """Beat until ended."""
        while not self._ended.wait(self._seconds / 3):
            with contextlib.suppress(Unavailable):  # ended meanwhile
                HEARTBEAT.call(self._beat, self._ended)

    def _beat(self) -> None:
        self._stop_if_hung()
        self.renew()

    def end(self) -> None:
        """Stop beating; no beat comes after this, as it would bring back a worker that has left."""
        self._ended.set()
        self.join(self._seconds)

    def _stop_if_hung(self) -> None:
        since = self.busy_since
        if since is not None and time.monotonic() - since > self._work_timeout:
            reason = f"one picture took longer than WORK_TIMEOUT={self._work_timeout:g} s; its message will be retried"
            logs.get().error("hung", reason=reason)
            os._exit(EXIT_HUNG)

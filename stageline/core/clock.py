"""The line's clock: Redis's time, so that machines whose own clocks differ write down times that agree.

Each new connection asks Redis for its time, and after that about one step a second does (see redis_client). In between,
the process's monotonic clock counts on from there, so nobody waits to be told the time. Before Redis was asked, and
without Redis, it is the machine's own time.
"""

import threading
import time
from datetime import UTC, datetime

from stageline.core import logs

ASK_EVERY = 1.0  # seconds
SAID_FROM = 5.0  # seconds that the machine's own clock may differ before the log says so


class Clock:
    """Another machine's time, as far as a process knows it; safe to share between threads.

    What is kept are bounds of that time minus the monotonic one. An answer was made after it was asked for and before
    it came, so each answer gives bounds, and narrows those that are known. Bounds that contradict what is known mean
    that a clock was set, or drifted, or that this machine slept: then the new ones count.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bounds: tuple[float, float] | None = None
        self._answered = float("-inf")
        self._said = 0.0

    def seconds(self) -> float:
        """The time now, in seconds since 1970."""
        bounds = self._bounds
        return time.time() if bounds is None else time.monotonic() + sum(bounds) / 2

    def learn(self, told: float, asked: float, answered: float) -> None:
        """Take up an answer.

        Args:
            told: the time that was told, in seconds since 1970.
            asked: the monotonic time, in seconds, before the question was sent.
            answered: the same after the answer had come.
        """
        least, most = told - answered, told - asked
        with self._lock:
            if self._bounds is not None:
                narrower = max(least, self._bounds[0]), min(most, self._bounds[1])
                least, most = narrower if narrower[0] <= narrower[1] else (least, most)
            self._bounds, self._answered = (least, most), answered
            ahead = time.time() - self.seconds()
            differs = abs(ahead - self._said) > SAID_FROM
            if differs:
                self._said = ahead
        if differs:
            _say(ahead)

    def is_due(self) -> bool:
        """Whether it should be asked for the time again."""
        return time.monotonic() - self._answered >= ASK_EVERY


def _say(ahead: float) -> None:
    """Tell who runs the machine that its clock is wrong, or right again; the line does not depend on it."""
    if abs(ahead) <= SAID_FROM:
        logs.get().info("this machine's clock agrees with Redis's")
        return
    how = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Redis's"
    logs.get().warning("clocks differ", reason=f"this machine's clock is {how}; what is written down has Redis's time")


_redis = Clock()
learn, is_due, seconds = _redis.learn, _redis.is_due, _redis.seconds


def now() -> datetime:
    """The line's time."""
    return datetime.fromtimestamp(seconds(), UTC)


def machine_now() -> datetime:
    """The machine's own time, which nothing that is written down has; see ``now``."""
    return datetime.now(UTC)


def earlier() -> datetime:
    """The earlier of the line's time and the machine's own: for what cannot be undone when one of them is ahead."""
    return min(now(), machine_now())

"""The line's clock: Redis's time, so that machines with different clocks write times that agree.

Each new connection asks Redis for its time, and then about one round trip a second does (see redis_client). In between,
the process's monotonic clock counts on, so reading the clock never waits. Before the first answer, and without Redis,
the clock is the machine's own.
"""

import threading
import time
from datetime import UTC, datetime

from stageline.core import logs

ASK_EVERY = 1.0  # seconds
MAX_DIFFERENCE = 5.0  # seconds between the machine's own clock and Redis's; a larger difference is logged


class Clock:
    """The estimated time of another machine; threads may share it.

    The clock keeps bounds of the other machine's time minus the monotonic time. The other machine read its time between
    the question and the answer, so each answer gives bounds, which narrow the known ones. Bounds that contradict the
    known ones mean that a clock was set or drifted, or that this machine slept; then the new bounds replace them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bounds: tuple[float, float] | None = None
        self._answered = float("-inf")
        self._logged_ahead = 0.0

    def seconds(self) -> float:
        """The time now, in seconds since 1970."""
        bounds = self._bounds
        return time.time() if bounds is None else time.monotonic() + sum(bounds) / 2

    def learn(self, answer: float, asked: float, answered: float) -> None:
        """Narrow or replace the bounds.

        Args:
            answer: the other machine's time, in seconds since 1970.
            asked: the monotonic time before the question was sent, in seconds.
            answered: the monotonic time after the answer was received, in seconds.
        """
        least, most = answer - answered, answer - asked
        with self._lock:
            if self._bounds is not None:
                narrower = max(least, self._bounds[0]), min(most, self._bounds[1])
                least, most = narrower if narrower[0] <= narrower[1] else (least, most)
            self._bounds, self._answered = (least, most), answered
            ahead = time.time() - self.seconds()
            differs = abs(ahead - self._logged_ahead) > MAX_DIFFERENCE
            if differs:
                self._logged_ahead = ahead
        if differs:
            _log_difference(ahead)

    def is_due(self) -> bool:
        """Whether to ask the other machine for its time again."""
        return time.monotonic() - self._answered >= ASK_EVERY


def _log_difference(ahead: float) -> None:
    """Log for the machine's operator that its clock is wrong, or right again; the line does not depend on it."""
    if abs(ahead) <= MAX_DIFFERENCE:
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
    """The machine's own time, which is never written to Redis, the bucket or the catalogue; see ``now``."""
    return datetime.now(UTC)


def earlier() -> datetime:
    """The earlier of the line's time and the machine's own, for actions that cannot be undone if one is ahead."""
    return min(now(), machine_now())

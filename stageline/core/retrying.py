"""Waiting for a server that is away: a little longer each time, for as long as it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

from stageline.core import logs
from stageline.core.errors import Unavailable

Answer = TypeVar("Answer")
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
SAY_AGAIN_SECONDS = 60.0


class Patience:
    """Counts failures in a row; says so in the log at the first and then each minute, and sleeps longer at each."""

    def __init__(self) -> None:
        self._failures = 0
        self._say_again = float("-inf")

    def wait(self, error: Unavailable) -> None:
        """Sleep before the next try."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 10))
        self.say(error)
        time.sleep(pause)

    def say(self, error: Unavailable) -> None:
        """Count a failure, for a loop that has its own pauses."""
        if time.monotonic() >= self._say_again:
            logs.get().warning("waiting", reason=str(error))
            self._say_again = time.monotonic() + SAY_AGAIN_SECONDS
        self._failures += 1

    def reset(self) -> None:
        """Note that the server answered."""
        if self._failures:
            logs.get().info("going on", after_failures=self._failures)
        self._failures = 0
        self._say_again = float("-inf")


def patiently(step: Callable[[], Answer], given_up: Callable[[], bool] = lambda: False) -> Answer:
    """Repeat a step until its server answers.

    Raises:
        Unavailable: the server is away, and ``given_up`` says to wait no longer.
    """
    patience = Patience()
    while True:
        try:
            answer = step()
        except Unavailable as error:
            if given_up():
                raise
            patience.wait(error)
        else:
            patience.reset()
            return answer

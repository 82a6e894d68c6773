"""Waiting and trying again, by tenacity: every policy stands here by its name, with its numbers.

What a library tries again inside a command stays the library's, as only it knows how far the first try came. Its
numbers stand here as well.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry as RedisRetry
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, stop_never
from tenacity import wait_exponential as doubling
from tenacity import wait_fixed as fixed
from tenacity.nap import sleep_using_event
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT
from urllib3 import Retry as HttpRetry

from stageline.core import logs
from stageline.core.errors import Busy, NoRoom, StagelineError, Unavailable

Answer = TypeVar("Answer")
LOG_AGAIN_SECONDS = 60.0
READY_SECONDS = 120.0  # for a line that starts: a dozen processes import at once, on a machine that may be slow
NEVER = threading.Event()  # set by nobody: the default of those who wait for as long as it takes


@dataclass(frozen=True)
class Policy:
    """When to try again what failed; ``wait`` gives the seconds, ``stop`` says when to give up."""

    wait: WaitBaseT
    stop: StopBaseT = stop_never
    on: type[Exception] = Unavailable
    unless: tuple[type[Exception], ...] = ()
    logged: bool = True

    def call(
        self,
        step: Callable[[], Answer],
        stopping: threading.Event = NEVER,
        on_failure: Callable[[BaseException], object] = lambda _: None,
    ) -> Answer:
        """Try a step until it succeeds; the log says that it is waited for at the first failure, then once a minute.

        Args:
            step: what is tried.
            stopping: ends a wait at once when it is set; the step is not tried again then.
            on_failure: is told of each failure after which the step is tried again.

        Raises:
            Exception: the step's own, where the policy is not for such, gives up, or ``stopping`` is set.
        """
        try:
            return step()  # as nearly always; tenacity would cost it 24 µs
        except self.on as error:
            last: Exception = error
        is_first = True

        def again() -> Answer:
            nonlocal last, is_first
            if is_first or stopping.is_set():
                is_first = False
                raise last
            try:
                return step()
            except self.on as error:
                last = error
                raise

        retrying = self._retrying(stopping, on_failure)
        answer = retrying(again)
        if self.logged:
            logs.get().info("going on", after_failures=retrying.statistics["attempt_number"] - 1)
        return answer

    def _retrying(self, stopping: threading.Event, on_failure: Callable[[BaseException], object]) -> Retrying:
        log_again = float("-inf")

        def note(state: RetryCallState) -> None:
            nonlocal log_again
            error = _failure(state)
            if self.logged and time.monotonic() >= log_again:
                logs.get().warning("waiting", reason=str(error))
                log_again = time.monotonic() + LOG_AGAIN_SECONDS
            on_failure(error)

        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, self.on) and not isinstance(error, self.unless)),
            wait=self.wait,
            stop=lambda state: stopping.is_set() or self.stop(state),
            sleep=sleep_using_event(stopping),
            before_sleep=note,
            reraise=True,
        )

    def pause(self, failures: int) -> float:
        """Seconds until the next try after so many failures in a row, from 1."""
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = failures
        return float(self.wait(state))


class Attempts:
    """Failures in a row, and when the next try is due, for a loop that does not wait in between."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._failures, self._due = 0, float("-inf")

    def is_due(self) -> bool:
        """Whether to try now."""
        return time.monotonic() >= self._due

    def fail(self) -> float:
        """Note a failure; return the seconds until the next try."""
        self._failures += 1
        pause = self._policy.pause(self._failures)
        self._due = time.monotonic() + pause
        return pause


def _failure(state: RetryCallState) -> BaseException:
    assert state.outcome is not None  # noqa: S101 - a step that was tried has one
    return state.outcome.exception() or RuntimeError("no failure")


def _upper_half(longest: Callable[[RetryCallState], float]) -> WaitBaseT:
    """Spread a wait, so that what failed together is not tried again together."""
    return lambda state: longest(state) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing


def _as_told(state: RetryCallState) -> float:
    """The seconds that a Busy door names."""
    return float(getattr(_failure(state), "seconds", 1.0))


SERVER_AWAY = Policy(doubling(multiplier=0.1, max=5.0))  # Redis, the object store, the database
HEARTBEAT = Policy(fixed(1.0), logged=False)  # of what is done all the time, and whose failures others tell of
SWEEP = Policy(fixed(1.0))
DEAD_CHILD = Policy(doubling(multiplier=0.5, max=15.0))
LINE_STARTS = Policy(fixed(0.1), stop_after_delay(READY_SECONDS), on=StagelineError, logged=False)
LOST_INPUT = Policy(fixed(5.0))  # a message whose servers went away in the middle
NEWER_MESSAGE = Policy(fixed(30.0))  # a message that waits for a newer worker

# Of the command line, which a door may tell how long to wait.
LINE_FULL = Policy(_as_told, on=NoRoom, logged=False)
SERVERS_BUSY = Policy(_as_told, on=Busy, logged=False)
SERVERS_BUSY_A_MINUTE = Policy(_as_told, stop_after_delay(60.0), on=Busy, logged=False)
API_GONE = Policy(fixed(1.0), stop_after_delay(60.0), unless=(Busy,), logged=False)  # as while it is started again

# What the libraries try again inside a command.
REDIS_COMMAND = RedisRetry(ConstantBackoff(0.05), 1)
REDIS_ONCE = RedisRetry(NoBackoff(), 0)
STORE_REQUEST = HttpRetry(
    total=2, connect=1, backoff_factor=0.1, status_forcelist=(500, 502, 503, 504), raise_on_status=False
)  # then the store's own words are told
ROLE_REQUEST = HttpRetry(total=1)


def failed_message(base: float, cap: float) -> Policy:
    """A message that failed: ``base`` seconds, doubled each time up to ``cap``, and jitter in the upper half."""
    return Policy(_upper_half(doubling(multiplier=base, max=cap)))


def refused_model(look_seconds: float) -> Policy:
    """A version that was refused: it may be on its way, piece by piece. Each time a little later, up to a minute."""
    return Policy(doubling(multiplier=look_seconds, max=60.0))


def every(seconds: float) -> Policy:
    """A fixed pause."""
    return Policy(fixed(seconds))

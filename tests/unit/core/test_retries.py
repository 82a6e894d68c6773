"""Trying again: by which policy, what the log says, and that a process which stops waits no longer."""

import threading

import pytest
from structlog.testing import capture_logs

from stageline.core.errors import Busy, NotFound, Unavailable
from stageline.core.retrying import API_GONE, SERVER_AWAY, Attempts, Policy, every, refused_model


def failing(*errors: Exception):
    """A step that fails with each of these, and then succeeds; and the list of its tries."""
    left, tries = list(errors), []

    def step() -> str:
        tries.append(len(tries))
        if left:
            raise left.pop(0)
        return "done"

    return step, tries


def test_a_wait_ends_at_once_when_the_process_stops() -> None:
    """An hour's pause is over as soon as the event is set, and the failure is raised; nothing more is tried."""
    stopping, (step, tries) = threading.Event(), failing(*[Unavailable("away")] * 9)
    with pytest.raises(Unavailable, match="away"):
        every(3600.0).call(step, stopping, lambda _: stopping.set())
    assert len(tries) == 1


def test_a_process_that_stops_still_tries_once() -> None:
    """What was asked for after the stop is tried, and not waited for."""
    stopping, (step, tries) = threading.Event(), failing(Unavailable("away"))
    stopping.set()
    with pytest.raises(Unavailable):
        SERVER_AWAY.call(step, stopping)
    assert SERVER_AWAY.call(step, stopping) == "done"
    assert len(tries) == 2


def test_an_outage_is_logged_when_it_begins_and_when_it_is_over() -> None:
    """Not at each failure: one line, then how many there were."""
    step, _ = failing(*[Unavailable("Redis is away")] * 3)
    with capture_logs() as said:
        assert every(0.0).call(step) == "done"
    assert said == [
        {"event": "waiting", "reason": "Redis is away", "log_level": "warning"},
        {"event": "going on", "after_failures": 3, "log_level": "info"},
    ]


def test_other_errors_are_not_waited_out() -> None:
    """What a retry cannot mend is raised at once; so is what another policy is for."""
    for error, policy in ((NotFound("no such object"), SERVER_AWAY), (Busy("away", 1.0), API_GONE)):
        step, tries = failing(error)
        with pytest.raises(type(error)):
            policy.call(step)
        assert len(tries) == 1


@pytest.mark.parametrize(
    ("policy", "pauses"),
    [(SERVER_AWAY, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]), (refused_model(5.0), [5.0, 10.0, 20.0, 40.0, 60.0])],
)
def test_pauses_grow_up_to_the_longest(policy: Policy, pauses: list[float]) -> None:
    """Doubled each time, also after thousands of failures; a loop that does not wait gets the same delays."""
    attempts = Attempts(policy)
    assert attempts.is_due()
    assert [attempts.fail() for _ in pauses] == pytest.approx(pauses)
    assert not attempts.is_due()
    assert policy.pause(100_000) == pauses[-1]

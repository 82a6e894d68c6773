"""What the API asks its servers for /health: how long an answer is believed, and what is forgotten."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from grab_service.line.probes import Probe
from stageline.core.errors import Unavailable
from tests.support.served_api import until


class Server:
    """Answers when the test lets it, with the given answer."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self.fails = False
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        said, fails = self.asked, self.fails
        assert self.answers.wait(60)
        if fails:
            raise Unavailable("it takes no writes")
        return said


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.answers.set()


def look(probe: Probe, timeout: float = 0.05) -> Any:
    return probe.wait(probe.ask(), time.monotonic(), timeout)


def later(act: Callable[[], None]) -> None:
    threading.Timer(0.2, act).start()


def test_a_slow_server_that_was_well_is_believed_while_it_is_asked_anew(server: Server) -> None:
    """/health does not flap with each write that takes long."""
    probe = Probe("a store", server, slow=60.0)
    look(probe, 60)
    server.answers.clear()
    for _ in range(3):
        look(probe)
    assert server.asked == 2, "by one thread"
    server.fails = True
    server.answers.set()
    until(probe._asked.done)
    with pytest.raises(Unavailable, match="no writes"):
        look(probe, 60)


def test_it_is_believed_only_so_long(server: Server) -> None:
    """A server that hangs is said to, once the time is over."""
    probe = Probe("a store", server, slow=0.0)
    look(probe, 60)
    server.answers.clear()
    with pytest.raises(Unavailable, match="has not answered for"):
        look(probe)
    probe._slow = 0.3
    until(lambda: time.monotonic() - probe._asked_at > 0.3)
    with pytest.raises(Unavailable, match="has not answered for"):
        look(probe)


def test_a_server_that_was_not_well_before_is_not_believed(server: Server) -> None:
    """Nor one that was never asked, nor one by which something was refused since."""
    probe = Probe("a store", server, slow=60.0)
    server.answers.clear()
    with pytest.raises(Unavailable, match="has not answered for"):
        look(probe)
    server.answers.set()
    look(probe, 60)
    probe.forget()
    server.answers.clear()
    with pytest.raises(Unavailable, match="has not answered for"):
        look(probe)
    server.fails = True
    server.answers.set()
    until(probe._asked.done)
    with pytest.raises(Unavailable, match="no writes"):
        look(probe, 60)
    server.answers.clear()
    with pytest.raises(Unavailable, match="has not answered for"):
        look(probe)


def test_what_is_forgotten_while_it_is_asked_is_not_kept(server: Server) -> None:
    """The question began before something was refused: no request that waits for it gets its answer."""
    probe = Probe("a store", server, good=60.0, slow=60.0)
    server.answers.clear()
    asked = probe.ask()
    until(lambda: server.asked == 1)
    server.fails = True
    probe.forget()
    later(server.answers.set)
    with pytest.raises(Unavailable, match="no writes"):
        probe.wait(asked, time.monotonic(), 60)
    assert server.asked == 2


def test_what_is_not_forgotten_is_kept(server: Server) -> None:
    """One question serves all requests within its time."""
    probe = Probe("a store", server, good=60.0)
    assert [look(probe, 60) for _ in range(3)] == [1, 1, 1]
    probe.forget()
    assert [look(probe, 60) for _ in range(3)] == [2, 2, 2]

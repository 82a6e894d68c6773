"""The guard of the unit tier refuses what a machine without servers could not do."""

import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit import conftest as guard


def connect() -> None:
    socket.create_connection(("127.0.0.1", 9))


def listen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))


def look_up() -> None:
    socket.getaddrinfo("localhost", 9)


def start_a_server() -> None:
    subprocess.run(["redis-server", "--version"], check=True)


@pytest.mark.parametrize("reach", [connect, listen, look_up, start_a_server])
def test_what_reaches_outside_is_refused(reach: Callable[[], None]) -> None:
    """A connection, a port and another program raise at once, and are written down, so that no handler hides them."""
    with pytest.raises(guard.OutsideTheUnitTier, match="tests/integration"):
        reach()
    assert len(guard.refused) == 1
    guard.refused.clear()


def test_python_may_start_python() -> None:
    """A test may look at what a fresh interpreter imports, or how much memory it takes."""
    assert subprocess.run([sys.executable, "-c", "print(1 + 1)"], capture_output=True, check=True).stdout == b"2\n"

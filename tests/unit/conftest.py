"""The unit tier's guard: a test here that opens a connection, listens, or starts a program other than Python fails.

So `pytest tests/unit` passes right after `pip install -e .[test]`, with no server, no model and no network.
"""

import os
import sys
from collections.abc import Iterator

import pytest

SOCKETS = {"socket.connect", "socket.bind", "socket.getaddrinfo"}
refused: list[str] = []
watching = False


class OutsideTheUnitTier(RuntimeError):
    """A unit test reached outside its process."""


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Raise where a unit test reaches outside; Python calls this at each event that it audits, in every test."""
    if not watching:
        return
    if event in SOCKETS:
        what = f"{event} {arguments[1:]}"
    elif event == "subprocess.Popen" and os.path.realpath(str(arguments[0])) != os.path.realpath(sys.executable):
        what = f"it starts {arguments[0]}"
    else:
        return
    refused.append(what)
    raise OutsideTheUnitTier(f"{what}: a test that needs this belongs to tests/integration")


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def _nothing_outside() -> Iterator[None]:
    """Watch a test, its fixtures included; an error that the tested code swallowed fails the test all the same."""
    global watching  # noqa: PLW0603 - an audit hook cannot be taken away
    refused.clear()
    watching = True
    yield
    watching = False
    assert refused == [], "a test that needs this belongs to tests/integration"

"""Threads that wait for Redis by themselves say so in the log, once a minute at most, and when they go on."""

import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from catalogue_service.lease import WriterLease
from stageline.broker.redis_client import connect
from stageline.core.settings import Settings
from stageline.maintenance.reaper import Reaper
from tests.support.servers import RedisServer

PASSWORD = "the-right-one"
LONG_ENOUGH = 50.0


@pytest.mark.parametrize("kind", ["housekeeper", "lease"])
def test_a_wrong_password_is_logged_once_and_so_is_its_end(kind: str, start_redis: Callable[..., RedisServer]) -> None:
    """The API's reaper, and the catalogue's lease, name what Redis refuses, and say when it lets them in."""
    server = start_redis("--requirepass", "another")
    url = server.url.replace("redis://", f"redis://:{PASSWORD}@")
    thread: Reaper | WriterLease = Reaper(Settings(redis_url=url))
    if kind == "lease":
        thread = WriterLease(url, seconds=1.5)
    with capture_logs() as said:
        thread.start()
        wait_for(lambda: [one for one in said if one["event"] == "waiting"])
        time.sleep(2.5)  # it tries again, and says no more
        connect(server.url.replace("redis://", "redis://:another@")).config_set("requirepass", PASSWORD)
        wait_for(lambda: [one for one in said if one["event"] == "going on"])
        thread.end()
    (waiting,) = [one for one in said if one["event"] == "waiting"]
    assert "REDIS_PASSWORD" in waiting["reason"]
    assert PASSWORD not in str(said)


def wait_for(holds: Callable[[], object]) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it never did.
    """
    deadline = time.monotonic() + LONG_ENOUGH
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)

"""A server for queues whose clock can be set, by libfaketime: Valkey, since Debian's Redis does not start under it."""

import time
from pathlib import Path

import redis

from tests.chaos.deployment import until
from tests.support.fake_time import clock_of
from tests.support.redis_moods import program
from tests.support.servers import RedisServer

CLOSE = 5.0  # seconds that it may take to ask


class OtherTime(RedisServer):
    """A Valkey that has written to the disk before it answers, and whose clock is right until it is set."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, ["--appendfsync", "always"], port, program("valkey"))
        folder.mkdir(parents=True, exist_ok=True)
        self._offset = folder / "offset"
        self._offset.write_text("+0")

    def environment(self) -> dict[str, str]:
        """See Server."""
        return super().environment() | clock_of(self._offset.absolute())

    def set_clock(self, seconds: int) -> None:
        """Set its clock to be that far ahead; below zero, behind. Return when it shows that time."""
        self._offset.write_text(f"{seconds:+d}")
        client = redis.Redis(port=self.port, socket_timeout=30)
        until(lambda: abs(client.time()[0] - time.time() - seconds) < CLOSE)

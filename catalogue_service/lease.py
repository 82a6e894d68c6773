"""The writer's lease: only its holder writes the catalogue. Another process takes over when the lease expires."""

import contextlib
import threading
import uuid

from stageline.broker.keys import OUTCOMES
from stageline.broker.redis_client import ask_time, connect, reaching_redis
from stageline.core import logs
from stageline.core.errors import Unavailable
from stageline.core.retrying import every

KEY = f"{OUTCOMES}:writer"


class WriterLease(threading.Thread):
    """Takes the lease when it is free, and renews a held one three times per lease.

    It saves double work only: two writers at once would write the same rows.
    """

    def __init__(self, redis_url: str, seconds: float) -> None:
        super().__init__(name="lease", daemon=True)
        self.identity = uuid.uuid4().hex
        self._client = connect(redis_url)
        self._seconds = seconds
        self._ended = threading.Event()
        self._is_held = threading.Event()
        self._refused: str | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process held the lease at the last renewal."""
        return self._is_held.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the lease; return whether it is held."""
        return self._is_held.wait(seconds)

    def check(self) -> None:
        """Check the last renewal.

        Raises:
            Unavailable: Redis was away.
        """
        if self._refused is not None:
            raise Unavailable(self._refused)

    def renew(self) -> None:
        """Take or renew the lease once.

        Raises:
            Unavailable: Redis is away.
        """
        milliseconds = int(1000 * self._seconds)
        with reaching_redis():
            ask_time(self._client)
            held = bool(self._client.set(KEY, self.identity, nx=True, px=milliseconds))
            if not held and self._client.get(KEY) == self.identity.encode():
                held = bool(self._client.pexpire(KEY, milliseconds))
        if held != self.is_held:
            logs.get().info("writes" if held else "stands by", lease=KEY)
        (self._is_held.set if held else self._is_held.clear)()

    def run(self) -> None:
        """Renew until ended."""
        policy, ended = every(self._seconds / 3), False
        with contextlib.suppress(Unavailable):  # ended meanwhile
            while not ended:
                policy.call(self.renew, self._ended, self._lose)
                self._refused = None
                ended = self._ended.wait(self._seconds / 3)

    def _lose(self, error: BaseException) -> None:
        self._refused = f"nobody is known to write the catalogue: {error}"
        self._is_held.clear()

    def end(self) -> None:
        """Release the lease, so that another process need not wait until it expires."""
        self._ended.set()
        self.join(self._seconds)
        with contextlib.suppress(Unavailable), reaching_redis():
            if self._client.get(KEY) == self.identity.encode():
                self._client.delete(KEY)

"""Only one process writes at a time: whoever holds the lease. Another takes over when it lapses."""

import threading
import uuid

from stageline.broker.keys import OUTCOMES
from stageline.broker.redis_client import ask_time, connect, reaching_redis
from stageline.core import logs
from stageline.core.errors import Unavailable
from stageline.core.retrying import Patience

KEY = f"{OUTCOMES}:writer"


class WriterLease(threading.Thread):
    """Asks for the lease, and renews it while it has it, three times per lease.

    It keeps two writers from doing the same work. Were both to write, the rows would be the same all the same.
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
        """Whether this process is the one that writes, as far as it knows."""
        return self._is_held.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until the lease is held."""
        return self._is_held.wait(seconds)

    def check(self) -> None:
        """Tell whether the lease can be asked for.

        Raises:
            Unavailable: it could not be, the last time.
        """
        if self._refused is not None:
            raise Unavailable(self._refused)

    def renew(self) -> None:
        """Ask once.

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
        patience = Patience()
        while True:
            try:
                self.renew()
                patience.reset()
                self._refused = None
            except Unavailable as error:
                self._refused = f"nobody is known to write the catalogue: {error}"
                patience.say(error)
                self._is_held.clear()
            if self._ended.wait(self._seconds / 3):
                return

    def end(self) -> None:
        """Give the lease up, so that another need not wait for it to lapse."""
        self._ended.set()
        self.join(self._seconds)
        try:
            with reaching_redis():
                if self._client.get(KEY) == self.identity.encode():
                    self._client.delete(KEY)
        except Unavailable:
            pass

"""The hot cache: a separate Redis that keeps copies of objects for a while. A failure of the cache fails nothing else.

A writer first sets its mark at the key of each object; readers ignore marks. After the store has the object, its copy
replaces the mark, but only if the mark is still that of this writer. When two processes write one key, or one deletes
what another writes, the cache cannot know which object the store has, and keeps no copy.
"""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import redis

from stageline.core import logs, metrics
from stageline.core.errors import Unavailable
from stageline.core.retrying import REDIS_ONCE

CONNECT_SECONDS = 0.3
ANSWER_SECONDS = 1.0
PAUSE_SECONDS = 5.0  # without requests, after one failed
LOG_AGAIN_SECONDS = 60.0
MARK_SECONDS = 60
MARK = b"stageline:being-written:"  # a value with this beginning is never read as a copy
MAX_STALE = 20_000
BATCH_SIZE = 1000
Answer = TypeVar("Answer")

# UNLINK comes first: a server that is out of memory refuses SET, and still drops the stale copies.
BEGIN_WRITE = f"""
redis.call('UNLINK', unpack(KEYS))
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'EX', {MARK_SECONDS}) end
"""
# KEYS: each object's, followed by its copy's. A plain SET wrote the copy: a script would copy its bytes three times.
FINISH_WRITE = """
for n = 1, #KEYS, 2 do
  local ours = redis.call('GET', KEYS[n]) == ARGV[1]
  if ours and redis.call('EXISTS', KEYS[n + 1]) == 1 then redis.call('RENAME', KEYS[n + 1], KEYS[n])
  else redis.call('UNLINK', KEYS[n], KEYS[n + 1]) end
end
"""


class HotCache:
    """Copies of a bucket's objects. After an error, no request is made for five seconds; it is logged once a minute.

    Stale keys are those that were overwritten or deleted while the cache could not be reached. This process reads no
    copy before it has dropped them, and drops them as soon as the cache answers. Until then, another process that still
    reaches the cache may read an old copy; if this process dies first, until the copy expires.
    """

    def __init__(self, url: str, ttl: int, bucket: str) -> None:
        """Keep copies for ``ttl`` seconds; connect at the first use."""
        self._client = redis.Redis.from_url(
            url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=ANSWER_SECONDS, retry=REDIS_ONCE, protocol=2
        )
        self._ttl = ttl
        self._prefix = f"stageline:cache:{bucket}:"
        self._lock = threading.Lock()
        self._error: str | None = None  # of the last request, if it failed
        self._try_again = 0.0
        self._log_again = float("-inf")
        self._stale: dict[str, float] = {}  # key → when it became stale
        self._all_stale_since = 0.0  # when all copies became stale; 0: they are not
        self._timer: threading.Timer | None = None

    def get(self, key: str) -> bytes | None:
        """Return the copy of an object; None if there is none or the cache does not answer."""
        away = object()
        found = self._call(lambda: self._client.get(self._prefix + key), away)
        metrics.CACHE_READS.labels("away" if found is away else "hit" if _is_copy(found) else "miss").inc()
        return found if _is_copy(found) else None

    def begin_write(self, keys: Sequence[str]) -> bytes | None:
        """Drop the copies of these keys; return the mark for `finish_write`, or None if the cache does not answer."""
        mark = MARK + uuid.uuid4().hex.encode()
        names = [self._prefix + key for key in keys]
        if self._call(lambda: self._client.eval(BEGIN_WRITE, len(names), *names, mark) is None):
            return mark
        self._mark_stale(keys)
        return None

    def finish_write(self, mark: bytes, copies: Mapping[str, bytes]) -> None:
        """Keep copies of the objects just stored, except those that another process wrote or deleted meanwhile."""
        names = {self._prefix + key: data for key, data in copies.items()}
        pairs = [(name, f"{name}#{mark[len(MARK) :].decode()}") for name in names]

        def send() -> bool:
            pipe = self._client.pipeline(transaction=False)
            for name, new in pairs:
                pipe.set(new, names[name], ex=self._ttl)
            pipe.eval(FINISH_WRITE, 2 * len(pairs), *(name for pair in pairs for name in pair), mark)
            pipe.execute()
            return True

        if pairs:
            self._call(send)

    def drop(self, keys: Sequence[str]) -> None:
        """Drop copies and marks, now or as soon as the cache answers."""
        if self._call(lambda: self._client.unlink(*(self._prefix + key for key in keys))) is None:
            self._mark_stale(keys)

    def drop_all(self) -> None:
        """Drop all copies and marks.

        Raises:
            Unavailable: the cache does not answer; this process keeps trying.
        """
        with self._lock:
            self._all_stale_since = time.monotonic()
        if not self._call(self._client.ping):
            self._schedule_drop()
            raise Unavailable(
                f"the hot cache does not answer (CACHE_URL), so its copies may be old until CACHE_TTL: {self._error}"
            )

    def check(self) -> None:
        """Check that the cache can be written to.

        Raises:
            Unavailable: the cache does not answer, or is no Redis that accepts copies.
        """
        name = f"{self._prefix}check"
        if not self._call(lambda: self._client.eval(BEGIN_WRITE, 1, name, MARK) is None):
            raise Unavailable(
                f"the hot cache does not answer (CACHE_URL), so pictures are read from the object store: {self._error}"
            )

    def _call(self, question: Callable[[], Any], otherwise: Any = None) -> Any:
        """Make a request, after dropping stale copies; return ``otherwise`` while the cache does not answer."""
        if not self._may_try():
            return otherwise
        try:
            if self._stale or self._all_stale_since:
                self._drop_stale()
            answer = question()
        except Exception as error:  # noqa: BLE001 - the server there may be no Redis
            self._note_failure(error)
            return otherwise
        self._error = None
        return answer

    def _may_try(self) -> bool:
        """Return whether to make a request; while the cache does not answer, one thread tries each five seconds."""
        if self._error is None:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._try_again:
                return False
            self._try_again = now + PAUSE_SECONDS
            return True

    def _note_failure(self, error: Exception) -> None:
        with self._lock:
            now = time.monotonic()
            self._error = f"{type(error).__name__}: {error}"
            self._try_again = now + PAUSE_SECONDS
            log = now >= self._log_again
            if log:
                self._log_again = now + LOG_AGAIN_SECONDS
        if log:
            logs.get().warning("cache away", reason=self._error, instead="pictures are read from the object store")

    def _mark_stale(self, keys: Sequence[str]) -> None:
        """Remember keys whose copies are to be dropped; when there are too many, drop all copies later."""
        now = time.monotonic()
        with self._lock:
            self._stale.update(dict.fromkeys(keys, now))
            if len(self._stale) > MAX_STALE:
                self._stale.clear()
                self._all_stale_since = now
        self._schedule_drop()

    def _schedule_drop(self) -> None:
        """Drop stale copies later, even if this process makes no further request."""
        with self._lock:
            if self._timer is None:
                self._timer = threading.Timer(PAUSE_SECONDS, self._drop_stale_later)
                self._timer.name, self._timer.daemon = "cache", True
                self._timer.start()

    def _drop_stale_later(self) -> None:
        with self._lock:
            self._timer = None
        self._call(self._client.ping)
        if self._stale or self._all_stale_since:
            self._schedule_drop()

    def _drop_stale(self) -> None:
        """Drop the stale copies."""
        with self._lock:
            owed, all_since = dict(self._stale), self._all_stale_since
        if all_since:
            for names in _chunks(list(self._client.scan_iter(f"{self._prefix}*", count=BATCH_SIZE))):
                self._client.unlink(*names)
        for names in _chunks([self._prefix + key for key in owed]):
            self._client.unlink(*names)
        with self._lock:
            for key, since in owed.items():
                if self._stale.get(key) == since:  # else it became stale again
                    del self._stale[key]
            if (
                self._all_stale_since == all_since
            ):  # unchanged: the scan may have missed keys that became stale meanwhile
                self._all_stale_since = 0.0


def _is_copy(found: Any) -> bool:
    return isinstance(found, bytes) and not found.startswith(MARK)


def _chunks(names: list[Any]) -> list[list[Any]]:
    return [names[start : start + BATCH_SIZE] for start in range(0, len(names), BATCH_SIZE)]

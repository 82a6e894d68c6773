"""The hot cache: a Redis of its own that keeps copies of objects for a while. Whatever is wrong with it, nothing fails.

Who writes an object says so first: each of its keys then holds that writer's mark, which readers take for nothing.
After the store has the object, its copy takes the mark's place, but only if the mark is still this writer's: when two
write one key, or one writes what another deletes, nobody can know here whose object the store has, and no copy is kept.
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
PAUSE_SECONDS = 5.0  # without asking, after it failed to answer
LOG_AGAIN_SECONDS = 60.0
MARK_SECONDS = 60
MARK = b"stageline:being-written:"  # a copy that begins so is never read, so an object of these bytes harms nobody
MAX_STALE = 20_000
BATCH_SIZE = 1000
Answer = TypeVar("Answer")

# UNLINK comes first: a server that is out of memory refuses SET, and still lets go of what must not be read any more.
BEGIN_WRITE = f"""
redis.call('UNLINK', unpack(KEYS))
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'EX', {MARK_SECONDS}) end
"""
# KEYS: each object's, followed by that of its copy, which came by a plain SET: a script would copy it three times over.
FINISH_WRITE = """
for n = 1, #KEYS, 2 do
  local ours = redis.call('GET', KEYS[n]) == ARGV[1]
  if ours and redis.call('EXISTS', KEYS[n + 1]) == 1 then redis.call('RENAME', KEYS[n + 1], KEYS[n])
  else redis.call('UNLINK', KEYS[n], KEYS[n + 1]) end
end
"""


class HotCache:
    """Copies of a bucket's objects. After an error it is left alone for five seconds, and what it was not told is owed.

    While it is away the log says so once a minute.

    What is owed are keys that were overwritten or deleted while the cache could not be told so: this process reads no
    copy before it has told, and tells as soon as the cache answers. Until then, another process that still reaches the
    cache may read the old copy, and so it may to the end of the copy's time if this process dies before it could tell.
    """

    def __init__(self, url: str, ttl: int, bucket: str) -> None:
        """Keep copies for ``ttl`` seconds; connect when first used."""
        self._client = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=REDIS_ONCE,
            protocol=2,
        )
        self._ttl = ttl
        self._prefix = f"stageline:cache:{bucket}:"
        self._lock = threading.Lock()
        self._error: str | None = None  # why, while it does not answer
        self._try_again = 0.0
        self._log_again = float("-inf")
        self._stale: dict[str, float] = {}  # key → when it came to be owed
        self._all_stale_since = 0.0  # when it came to be that all is owed; 0: it is not
        self._timer: threading.Timer | None = None

    def get(self, key: str) -> bytes | None:
        """Return the copy of an object; None where there is none to be had."""
        away = object()
        found = self._call(lambda: self._client.get(self._prefix + key), away)
        metrics.CACHE_READS.labels("away" if found is away else "hit" if _is_copy(found) else "miss").inc()
        return found if _is_copy(found) else None

    def begin_write(self, keys: Sequence[str]) -> bytes | None:
        """Let go of what is kept under these keys; return the mark to reveal new copies by, or None: then keep none."""
        mark = MARK + uuid.uuid4().hex.encode()
        names = [self._prefix + key for key in keys]
        if self._call(lambda: self._client.eval(BEGIN_WRITE, len(names), *names, mark) is None):
            return mark
        self._mark_stale(keys)
        return None

    def finish_write(self, mark: bytes, copies: Mapping[str, bytes]) -> None:
        """Keep copies of what the store has now, where no one else wrote or deleted it meanwhile."""
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
        """Let go of copies and marks, now or as soon as the cache answers."""
        if self._call(lambda: self._client.unlink(*(self._prefix + key for key in keys))) is None:
            self._mark_stale(keys)

    def drop_all(self) -> None:
        """Let go of all copies and marks.

        Raises:
            Unavailable: the cache does not answer; while this process lives, it tries again.
        """
        with self._lock:
            self._all_stale_since = time.monotonic()
        if not self._call(self._client.ping):
            self._schedule_drop()
            raise Unavailable(
                f"the hot cache does not answer (CACHE_URL), so its copies may be old until CACHE_TTL: {self._error}"
            )

    def check(self) -> None:
        """Reach the cache.

        Raises:
            Unavailable: it does not answer, or not as a Redis that takes copies does.
        """
        name = f"{self._prefix}check"
        if not self._call(lambda: self._client.eval(BEGIN_WRITE, 1, name, MARK) is None):
            raise Unavailable(
                f"the hot cache does not answer (CACHE_URL), so pictures are read from the object store: {self._error}"
            )

    def _call(self, question: Callable[[], Any], otherwise: Any = None) -> Any:
        """Ask, having told first what is owed; ``otherwise`` while it does not answer."""
        if not self._may_try():
            return otherwise
        try:
            if self._stale or self._all_stale_since:
                self._drop_stale()
            answer = question()
        except Exception as error:  # noqa: BLE001 - what listens there may be no Redis at all
            self._note_failure(error)
            return otherwise
        self._error = None
        return answer

    def _may_try(self) -> bool:
        """Whether it is worth a try; of all threads, one tries each five seconds while it does not answer."""
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
            say = now >= self._log_again
            if say:
                self._log_again = now + LOG_AGAIN_SECONDS
        if say:
            logs.get().warning("cache away", reason=self._error, instead="pictures are read from the object store")

    def _mark_stale(self, keys: Sequence[str]) -> None:
        """Remember what the cache could not be told; where it is too much, that all must go."""
        now = time.monotonic()
        with self._lock:
            self._stale.update(dict.fromkeys(keys, now))
            if len(self._stale) > MAX_STALE:
                self._stale.clear()
                self._all_stale_since = now
        self._schedule_drop()

    def _schedule_drop(self) -> None:
        """Have it told even if nothing is read or written here again."""
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
        """Let go of the copies that must not be read any more."""
        with self._lock:
            owed, all_since = dict(self._stale), self._all_stale_since
        if all_since:
            for names in _chunks(list(self._client.scan_iter(f"{self._prefix}*", count=BATCH_SIZE))):
                self._client.unlink(*names)
        for names in _chunks([self._prefix + key for key in owed]):
            self._client.unlink(*names)
        with self._lock:
            for key, since in owed.items():
                if self._stale.get(key) == since:  # else it is owed once more
                    del self._stale[key]
            if self._all_stale_since == all_since:  # as here: what was owed while the scan ran, it may have passed by
                self._all_stale_since = 0.0


def _is_copy(found: Any) -> bool:
    return isinstance(found, bytes) and not found.startswith(MARK)


def _chunks(names: list[Any]) -> list[list[Any]]:
    return [names[start : start + BATCH_SIZE] for start in range(0, len(names), BATCH_SIZE)]

"""The checks of the servers for /health and /readyz: each in one thread at a time, with a timeout.

A server that hangs costs one thread, and is reported as not answering.
"""

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from functools import partial
from typing import Any

from stageline.broker import overview
from stageline.catalogue.reader import Catalogue
from stageline.core import logs
from stageline.core.errors import Unavailable
from stageline.core.settings import Settings
from stageline.store import CachedStore, ObjectStore
from stageline.worker import health

HEALTH_TIMEOUT = 4.0  # seconds for all answers to /health together; the page waits eight
READY_TIMEOUT = 8.0  # the same for /readyz; a kubelet waits ten
GOOD_SECONDS, BAD_SECONDS = 30.0, 2.0  # validity of a good and a bad answer on the store's writes
SLOW_SECONDS = 60.0  # validity of a good answer while the next one is awaited
Answers = Mapping[str, Callable[[], Any]]


class Probe:
    """A check of a server. A good answer is kept for ``good`` seconds, a failure for ``bad`` seconds.

    A good answer stays valid for ``slow`` seconds while the next is awaited: a server may be slow and healthy.
    """

    def __init__(
        self, what: str, question: Callable[[], Any], good: float = 0.0, bad: float = 0.0, slow: float = 0.0
    ) -> None:
        self._what, self._question = what, question
        self._keep, self._slow = {True: good, False: bad}, slow
        self._lock = threading.Lock()
        self._asked: Future[Any] | None = None
        self._asked_at = self._until = 0.0
        self._was_good = False  # the last answer
        self._forgotten: Future[Any] | None = None

    def ask(self) -> "Future[Any]":
        """Return the running or still valid check, or start one. It fails with Unavailable."""
        with self._lock:
            if self._asked is None or (self._asked.done() and time.monotonic() >= self._until):
                self._asked, self._asked_at = Future(), time.monotonic()
                try:
                    threading.Thread(target=self._answer, args=(self._asked,), name="probe", daemon=True).start()
                except RuntimeError as error:  # the system allows no more threads
                    self._asked.set_exception(Unavailable(f"{self._what} could not be asked: {error}"))
            return self._asked

    def forget(self) -> None:
        """Drop the kept answer, and that of a running check."""
        with self._lock:
            self._until, self._was_good, self._forgotten = 0.0, False, self._asked

    def wait(self, asked: "Future[Any]", began: float, timeout: float) -> Any:
        """Return the answer.

        Raises:
            Unavailable: the server is away, or has not answered ``timeout`` seconds after ``began`` (monotonic clock).
        """
        answer = self._wait(asked, began, timeout)
        if asked is self._forgotten:  # forget() was called since the check began
            return self._wait(self.ask(), began, timeout)
        return answer

    def _wait(self, asked: "Future[Any]", began: float, timeout: float) -> Any:
        try:
            error = asked.exception(max(0.0, began + timeout - time.monotonic()))
        except NotInTime:
            with self._lock:
                if self._was_good and time.monotonic() - self._asked_at < self._slow:
                    return None
            raise Unavailable(f"{self._what} has not answered for {timeout:g} s") from None
        if error is not None:
            raise Unavailable(str(error)) from error
        return asked.result()

    def _answer(self, asked: "Future[Any]") -> None:
        answer, failure = None, None
        try:
            answer = self._question()
        except Unavailable as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - the answer reports it
            logs.get().exception("a probe failed", of=self._what)
            failure = Unavailable(f"{self._what} could not be asked: {error}")
        with self._lock:
            if asked is not self._forgotten:
                self._until, self._was_good = time.monotonic() + self._keep[failure is None], failure is None
        asked.set_exception(failure) if failure else asked.set_result(answer)


class Probes:
    """All checks that the API makes of its servers."""

    def __init__(self, client: Any, store: ObjectStore, catalogue: Catalogue, settings: Settings) -> None:
        store_is, redis_is = "the object store (MINIO_ENDPOINT)", "Redis (REDIS_URL)"
        if not settings.minio_endpoint:
            store_is = "the folder of pictures (STAGELINE_DATA)"
        self._reach = {
            "redis": Probe(redis_is, lambda: health.check_redis(client)),
            "object_store": Probe(store_is, store.check),
        }
        self._writes = Probe(
            store_is, lambda: health.check_store_writes(store), good=GOOD_SECONDS, bad=BAD_SECONDS, slow=SLOW_SECONDS
        )
        self._others = {
            "catalogue": Probe("the catalogue's database (DATABASE_URL)", catalogue.check),
            "cache": Probe("the hot cache (CACHE_URL)", lambda: check_cache(store)),
            "room": Probe(store_is, lambda: check_room(settings)),
            "overview": Probe(redis_is, lambda: overview.read(client, settings.lease_seconds)),
        }

    def reach(self) -> Answers:
        """Check the servers that the API needs: a name → a call that raises Unavailable if the server is away."""
        return _ask_all(self._reach, READY_TIMEOUT)

    def look(self) -> Answers:
        """Check everything, also the object store's writes; ``overview`` returns that of the line."""
        asked = _ask_all({**self._reach, **self._others, "writes": self._writes}, HEALTH_TIMEOUT)
        return {**asked, "object_store": partial(_both, asked["object_store"], asked["writes"])}

    def forget(self) -> None:
        """Drop the kept answer on the store's writes, after any refusal."""
        self._writes.forget()


def check_room(settings: Settings) -> None:
    """Check that the disk of the folder of pictures has room for one more upload.

    Raises:
        Unavailable: the disk has not.
    """
    folder, most = settings.stageline_data / settings.s3_bucket, settings.max_upload_bytes
    if settings.minio_endpoint:  # S3 does not report its free space
        return
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # another check reports that the folder is away
        return
    if free < most:
        sizes = f"{free:,} bytes free, and one upload may have {most:,} (MAX_UPLOAD_BYTES)"
        raise Unavailable(f"the disk of {folder} has {sizes}: make room there (STAGELINE_DATA)")


def check_cache(store: ObjectStore) -> str:
    """Reach the cache; return "off" if there is none.

    Raises:
        Unavailable: the cache does not answer.
    """
    if not isinstance(store, CachedStore):
        return "off"
    store.check_cache()
    return "ok"


def _ask_all(probes: Mapping[str, Probe], timeout: float) -> Answers:
    began = time.monotonic()
    return {name: partial(probe.wait, probe.ask(), began, timeout) for name, probe in probes.items()}


def _both(reach: Callable[[], Any], write: Callable[[], Any]) -> None:
    reach()
    write()

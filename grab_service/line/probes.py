"""What /health and /readyz ask of the servers: each by one thread at a time, waited for only so long.

A server that hangs then costs a thread, and the answer says that it does not answer.
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

HEALTH_TIMEOUT = 4.0  # seconds that /health waits for all answers together; the page waits eight
READY_TIMEOUT = 8.0  # … and /readyz; a kubelet waits ten
GOOD_SECONDS, BAD_SECONDS = 30.0, 2.0  # that it is believed that the store takes writes, or that it does not
SLOW_SECONDS = 60.0  # … that it takes them, while it is asked anew and has not answered yet
Answers = Mapping[str, Callable[[], Any]]


class Probe:
    """A question to a server. Its answer is kept for ``good`` seconds, and what it failed by for ``bad``.

    A good answer is believed while it is asked anew, for ``slow`` seconds: a server may be slow, and well.
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
        """Return what was asked last, while it is still asked or kept; else ask anew. Its failures are Unavailable."""
        with self._lock:
            if self._asked is None or (self._asked.done() and time.monotonic() >= self._until):
                self._asked, self._asked_at = Future(), time.monotonic()
                try:
                    threading.Thread(target=self._answer, args=(self._asked,), name="probe", daemon=True).start()
                except RuntimeError as error:  # as many threads as the system allows
                    self._asked.set_exception(Unavailable(f"{self._what} could not be asked: {error}"))
            return self._asked

    def forget(self) -> None:
        """Keep no answer any longer; nor that of a question which is being asked."""
        with self._lock:
            self._until, self._was_good, self._forgotten = 0.0, False, self._asked

    def wait(self, asked: "Future[Any]", began: float, timeout: float) -> Any:
        """Return the answer.

        Raises:
            Unavailable: the server is away, or has not answered ``timeout`` seconds after ``began``, which is of the
                monotonic clock.
        """
        answer = self._wait(asked, began, timeout)
        if asked is self._forgotten:  # something was refused since it was asked
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
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in the answer
            logs.get().exception("a probe failed", of=self._what)
            failure = Unavailable(f"{self._what} could not be asked: {error}")
        with self._lock:
            if asked is not self._forgotten:
                self._until, self._was_good = time.monotonic() + self._keep[failure is None], failure is None
        asked.set_exception(failure) if failure else asked.set_result(answer)


class Probes:
    """All that the API asks of its servers."""

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
        """Ask whether what the API needs is there: a name → a call that raises Unavailable where it is not."""
        return _ask_all(self._reach, READY_TIMEOUT)

    def look(self) -> Answers:
        """Ask everything. The object store must take writes too; ``overview`` answers with the line's."""
        asked = _ask_all({**self._reach, **self._others, "writes": self._writes}, HEALTH_TIMEOUT)
        return {**asked, "object_store": partial(_both, asked["object_store"], asked["writes"])}

    def forget(self) -> None:
        """Something was refused: what is believed of the store's writes may be true no longer."""
        self._writes.forget()


def check_room(settings: Settings) -> None:
    """See that the disk of a folder of pictures has room for one upload more.

    Raises:
        Unavailable: it has not.
    """
    folder, most = settings.stageline_data / settings.s3_bucket, settings.max_upload_bytes
    if settings.minio_endpoint:  # such a store tells nobody
        return
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # that it is away is said by another
        return
    if free < most:
        sizes = f"{free:,} bytes free, and one upload may have {most:,} (MAX_UPLOAD_BYTES)"
        raise Unavailable(f"the disk of {folder} has {sizes}: make room there (STAGELINE_DATA)")


def check_cache(store: ObjectStore) -> str:
    """Reach the cache; say that it is off where there is none.

    Raises:
        Unavailable: it does not answer.
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

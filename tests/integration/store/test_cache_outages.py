"""A cache that is away for a while: nothing fails, nothing waits for it over and over, nothing old is read."""

import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from stageline.core.errors import NotFound, Unavailable
from stageline.store import CachedStore, HotCache, hot_cache
from tests.support.cache_helpers import KEY, cache, happens, item, keeps

pytest_plugins = ("tests.support.cache_fixtures",)
pytestmark = pytest.mark.usefixtures("undisturbed")


def test_what_was_overwritten_meanwhile_is_not_read_after(folder, cache_server, monkeypatch) -> None:
    """The cache is away during an overwrite and a deletion, and comes back with the old copies: the writer reads none,
    and lets go of them before anything else."""
    monkeypatch.setattr(hot_cache, "PAUSE_SECONDS", 0.0)
    store = CachedStore(folder, cache(cache_server))
    store.put_all([item(data=b"old"), item("original/b.jpg", b"old")])
    cache_server.kill()
    store.put(item(data=b"new"))
    store.delete("original/b.jpg")
    assert store.get(KEY) == b"new"
    cache_server.start()
    assert store.get(KEY) == b"new"
    with pytest.raises(NotFound):
        store.get("original/b.jpg")
    assert (keeps(cache_server), keeps(cache_server, "original/b.jpg")) == (None, None)


def test_others_read_nothing_old_once_the_key_is_dropped(folder, cache_server, monkeypatch) -> None:
    """A client that could not drop an overwritten key drops it as soon as the cache is back, without any request."""
    monkeypatch.setattr(hot_cache, "PAUSE_SECONDS", 0.1)
    store, other = (CachedStore(folder, cache(cache_server)) for _ in range(2))
    store.put(item(data=b"old"))
    cache_server.kill()
    store.put(item(data=b"new"))
    time.sleep(0.3)  # it has been tried in vain
    cache_server.start()
    assert happens(lambda: keeps(cache_server) is None)
    assert other.get(KEY) == b"new"


def test_when_much_is_owed_all_goes(folder, cache_server, monkeypatch) -> None:
    """What is remembered is bounded: beyond, every copy of this bucket is let go of, and of no other."""
    monkeypatch.setattr(hot_cache, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(hot_cache, "MAX_STALE", 3)
    hot = cache(cache_server)
    store = CachedStore(folder, hot)
    keys = [f"original/{n}.jpg" for n in range(6)]
    store.put_all([item(key, b"old") for key in keys])
    redis.Redis.from_url(cache_server.url).set("stageline:cache:images-2:original/0.jpg", "another's")
    cache_server.kill()
    for key in keys[:4]:
        store.put(item(key, b"new"))
    assert len(hot._stale) <= 3
    cache_server.start()
    assert [store.get(key) for key in keys] == [b"new"] * 4 + [b"old"] * 2
    assert redis.Redis.from_url(cache_server.url).keys() == [b"stageline:cache:images-2:original/0.jpg"]


def test_keys_are_dropped_when_a_stopped_cache_goes_on(folder, cache_server, monkeypatch) -> None:
    """One that hangs in the middle (SIGSTOP), its connections open: what it is sent late changes nothing, and no old
    copy is read."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(hot_cache, "PAUSE_SECONDS", 0.0)
    store = CachedStore(folder, cache(cache_server))
    store.put(item(data=b"old"))
    os.kill(cache_server.pid, signal.SIGSTOP)
    store.put(item(data=b"new"))
    assert store.get(KEY) == b"new"
    store.put(item(data=b"newer"))
    os.kill(cache_server.pid, signal.SIGCONT)
    assert store.get(KEY) == b"newer"
    assert happens(lambda: keeps(cache_server) in (None, b"newer"))


def test_it_is_used_again_when_it_is_back(monkeypatch, folder, cache_server) -> None:
    """After an outage, what is written is kept again, and the check says that all is well."""
    monkeypatch.setattr(hot_cache, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(
        HotCache, "_schedule_drop", lambda _: None
    )  # it might let go of what has been written meanwhile
    store = CachedStore(folder, cache(cache_server))
    cache_server.kill()
    store.put(item(data=b"first"))
    with pytest.raises(Unavailable, match="CACHE_URL"):
        store.check_cache()
    cache_server.start()
    store.check_cache()
    store.put(item(data=b"second"))
    assert keeps(cache_server) == b"second"


def test_many_threads_share_it(folder, cache_server, monkeypatch) -> None:
    """While the cache is killed and started again, no reader ever sees anything but what was written last or is being
    written."""
    monkeypatch.setattr(hot_cache, "PAUSE_SECONDS", 0.05)
    store = CachedStore(folder, cache(cache_server))
    written = [0, 0]  # the number whose write has begun, and the one whose write has ended
    stopping = threading.Event()

    def write() -> int:
        for number in itertools.count(1):
            if stopping.is_set():
                return number
            written[0] = number
            store.put(item(data=str(number).encode()))
            written[1] = number
        raise AssertionError

    def read() -> int:
        for number in itertools.count(1):
            if stopping.is_set():
                return number
            least = written[1]
            found = int(store.get(KEY))
            assert least <= found <= written[0]
        raise AssertionError

    store.put(item(data=b"0"))
    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(step) for step in (write, read, read)]
        try:
            for _ in range(3):
                time.sleep(0.3)
                cache_server.kill()
                time.sleep(0.1)
                cache_server.start()
            time.sleep(0.3)
        finally:
            stopping.set()
        assert all(thread.result() > 1 for thread in threads)


def test_what_comes_to_be_owed_while_all_is_dropped_stays_owed(cache_server, monkeypatch) -> None:
    """Too much of it to remember by name: the scan may have passed it by, so that all has to go once more."""
    monkeypatch.setattr(hot_cache, "MAX_STALE", 2)
    monkeypatch.setattr(HotCache, "_schedule_drop", lambda _: None)  # only this test drops keys
    kept = cache(cache_server)
    redis.Redis.from_url(cache_server.url).set("stageline:cache:images:old", b"old")
    keys = [f"original/{n}.jpg" for n in range(3)]
    kept._mark_stale(keys)
    scan = kept._client.scan_iter

    def slow_scan(*words, **more):
        yield from scan(*words, **more)
        kept._mark_stale(keys)

    kept._client.scan_iter = slow_scan
    kept._drop_stale()
    assert keeps(cache_server, "old") is None
    assert kept._all_stale_since
    kept._client.scan_iter = scan
    kept._drop_stale()
    assert not kept._all_stale_since

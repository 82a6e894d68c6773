"""Several processes change one object behind the hot cache: in whatever order their steps come, nothing old is read."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from stageline.core.errors import NotFound
from stageline.local import embedded
from stageline.store import CachedStore, FolderStore, HotCache, hot_cache
from stageline.store.base import StoredObject
from tests.support.servers import RedisServer

KEY = "original/a.jpg"
NAME = f"stageline:cache:images:{KEY}"
STEPS = 3
SECONDS = 60.0


def item(data: bytes) -> StoredObject:
    return StoredObject(KEY, data, "image/jpeg")


class Gated(FolderStore):
    """A folder that stops each change, before and after it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.arrived, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def put_all(self, items) -> None:
        self._stop()
        super().put_all(items)
        self._stop()

    def delete(self, key: str) -> None:
        self._stop()
        super().delete(key)
        self._stop()

    def _stop(self) -> None:
        self.arrived.release()
        assert self.go_on.acquire(timeout=SECONDS)


class Missed(HotCache):
    """A cache that did not answer when it was asked to drop a key before an overwrite, and has dropped it since."""

    def begin_write(self, keys) -> bytes | None:
        self.drop(keys)


class Change:
    """A put or a delete by CachedStore, in three steps: up to the store, the store's, and what comes after."""

    def __init__(self, store: Gated, change: Callable[[], None]) -> None:
        self._store = store
        self._thread = threading.Thread(target=change, daemon=True)

    def step(self) -> None:
        if not self._thread.ident:
            self._thread.start()
        else:
            self._store.go_on.release()
        while not self._store.arrived.acquire(timeout=0.01):
            if not self._thread.is_alive():
                return


@pytest.fixture
def server(start_redis: Callable[..., RedisServer], monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """A cache that is not taken for silent because this machine is busy."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", SECONDS)
    monkeypatch.setattr(hot_cache, "CONNECT_SECONDS", SECONDS)
    return start_redis(*embedded.CACHE_OPTIONS)


def puts(root: Path, hot: HotCache, data: bytes) -> Change:
    store = Gated(root)
    return Change(store, lambda: CachedStore(store, hot).put(item(data)))


def deletes(root: Path, hot: HotCache) -> Change:
    store = Gated(root)
    return Change(store, lambda: CachedStore(store, hot).delete(KEY))


@pytest.mark.parametrize("other", ["put", "delete", "put after an outage"])
def test_in_whatever_order_steps_fall_the_copy_is_right(other: str, server: RedisServer, tmp_path) -> None:
    """When both have ended, the copy is what the store has, or there is none."""
    plain = FolderStore(tmp_path)
    hot = HotCache(server.url, 3600, "images")
    copies = 0
    for firsts in itertools.combinations(range(2 * STEPS), STEPS):
        CachedStore(plain, hot).put(item(b"old"))
        first = puts(tmp_path, hot, b"by the first")
        if other == "delete":
            second = deletes(tmp_path, HotCache(server.url, 3600, "images"))
        else:
            kind = HotCache if other == "put" else Missed
            second = puts(tmp_path, kind(server.url, 3600, "images"), b"by the second")
        for step in range(2 * STEPS):
            (first if step in firsts else second).step()
        truth = plain.get(KEY) if KEY in plain.keys("") else None
        copy = hot.get(KEY)
        assert copy in (None, truth), firsts
        copies += copy is not None
    assert copies, "if no other change comes between, a copy is kept"


def test_a_writer_that_dies_leaves_nothing_to_read(server: RedisServer, tmp_path) -> None:
    """From its first step to its last there is nothing to read in memory, and its mark goes by itself."""
    hot = HotCache(server.url, 3600, "images")
    cached = CachedStore(FolderStore(tmp_path), hot)
    cached.put(item(b"first"))
    dying = puts(tmp_path, hot, b"second")
    dying.step()
    assert cached.get(KEY) == b"first"
    dying.step()
    assert cached.get(KEY) == b"second"
    assert 0 < redis.Redis.from_url(server.url).ttl(NAME) <= 60
    dying.step()
    assert cached.get(KEY) == b"second"


def test_one_that_dies_deleting_leaves_nothing_to_read(server: RedisServer, tmp_path) -> None:
    """Once the store has dropped an object, no process reads its copy, whether or not the deletion comes to its end."""
    hot = HotCache(server.url, 3600, "images")
    cached = CachedStore(FolderStore(tmp_path), hot)
    cached.put(item(b"first"))
    dying = deletes(tmp_path, hot)
    dying.step()
    assert cached.get(KEY) == b"first"
    dying.step()
    with pytest.raises(NotFound):
        cached.get(KEY)
    dying.step()
    assert redis.Redis.from_url(server.url).keys() == []

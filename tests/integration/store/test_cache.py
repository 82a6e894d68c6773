"""The hot cache before a folder and before a real MinIO: what is kept, for how long, and that nothing old is read."""

from collections.abc import Callable

import pytest
import redis

from stageline.core.errors import NotFound, TooLarge, Unavailable
from stageline.local import embedded
from stageline.store import CachedStore, FolderStore, HotCache, ObjectStore
from stageline.store import cached as cached_module
from stageline.store.base import StoredObject
from tests.support.servers import RedisServer

KEY = "original/a.jpg"
NAME = f"stageline:cache:images:{KEY}"
MIB = 1024 * 1024


def item(key: str = KEY, data: bytes = b"data") -> StoredObject:
    return StoredObject(key, data, "image/jpeg")


@pytest.fixture
def cache_server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    return start_redis(*embedded.CACHE_OPTIONS)


@pytest.fixture
def kept(cache_server: RedisServer) -> redis.Redis:
    """What the cache's server holds."""
    return redis.Redis.from_url(cache_server.url)


@pytest.fixture
def hot(cache_server: RedisServer) -> HotCache:
    return HotCache(cache_server.url, 3600, "images")


@pytest.fixture
def cached(store: ObjectStore, hot: HotCache) -> CachedStore:
    return CachedStore(store, hot)


def test_what_was_written_is_read_from_memory(cached: CachedStore, store: ObjectStore, kept: redis.Redis) -> None:
    """Copies are kept for as long as was said, under their keys; the store is not asked for what is in memory."""
    cached.put(item())
    cached.put_all([item(f"{folder}/b.jpg") for folder in ("resized", "grayscale", "tagged")])
    keys = [KEY, "resized/b.jpg", "grayscale/b.jpg", "tagged/b.jpg"]
    assert set(kept.keys()) == {f"stageline:cache:images:{key}".encode() for key in keys}
    assert all(3590 <= kept.ttl(name) <= 3600 for name in kept.scan_iter())
    for key in keys:
        assert store.get(key) == b"data"
        store.delete(key)
        assert cached.get(key) == b"data"


def test_documents_and_what_is_seldom_seen_are_not_kept(cached: CachedStore, kept: redis.Redis) -> None:
    """JSON, from which the catalogue is made again, always comes from the store; the privacy copy is seldom read."""
    keys = ["results/a.json", "findings/a.json", "detections/a.json", "blurred/a.jpg", "originals-of-mine/a.jpg"]
    cached.put_all([item(key) for key in keys])
    assert [cached.get(key) for key in keys] == [b"data"] * len(keys)
    assert kept.keys() == []


def test_a_read_fills_nothing(cached: CachedStore, store: ObjectStore, kept: redis.Redis) -> None:
    """What is not in memory is read from the store each time: a late reader cannot put an old object back."""
    store.put(item(data=b"first"))
    assert cached.get(KEY) == b"first"
    assert kept.keys() == []
    store.put(item(data=b"second"))
    assert cached.get(KEY) == b"second"


@pytest.mark.parametrize("at_once", [False, True])
def test_what_was_overwritten_is_not_read(at_once: bool, cached: CachedStore, store: ObjectStore) -> None:  # noqa: FBT001
    """After an overwrite, alone or among others, the new object is read, from memory."""
    cached.put(item(data=b"first"))
    if at_once:
        cached.put_all([item(data=b"second"), item("results/a.json")])
    else:
        cached.put(item(data=b"second"))
    assert (cached.get(KEY), store.get(KEY)) == (b"second", b"second")


def test_what_was_deleted_is_not_read(cached: CachedStore, kept: redis.Redis) -> None:
    """A deleted object is gone from memory too, at once."""
    cached.put(item())
    cached.delete(KEY)
    assert kept.keys() == []
    with pytest.raises(NotFound):
        cached.get(KEY)


def test_a_limit_holds_for_copies(cached: CachedStore) -> None:
    """One byte over what may be read is refused, as the store does; at the limit it is read."""
    cached.put(item(data=b"12345"))
    assert cached.get(KEY, 5) == b"12345"
    with pytest.raises(TooLarge, match="has 5 bytes; at most 4"):
        cached.get(KEY, 4)


def test_what_is_very_large_is_not_kept(cached: CachedStore, kept: redis.Redis, monkeypatch) -> None:
    """No copy is kept of an object over the limit, nor of what it replaced."""
    monkeypatch.setattr(cached_module, "MAX_COPY_BYTES", 10)
    cached.put(item(data=b"small"))
    cached.put(item(data=b"larger than ten"))
    assert cached.get(KEY) == b"larger than ten"
    assert b"larger" not in kept.get(NAME)


def test_an_object_that_looks_like_a_mark_is_read(cached: CachedStore) -> None:
    """Whatever bytes somebody stores, they come back."""
    data = b"stageline:being-written:" + b"0" * 32
    cached.put(item(data=data))
    assert cached.get(KEY) == data


class Full(FolderStore):
    """A folder whose disk is full."""

    def put_all(self, items: object) -> None:  # noqa: ARG002 - none of them is written
        raise Unavailable("no space left on the device")


def test_what_could_not_be_stored_is_not_read(hot: HotCache, tmp_path) -> None:
    """When the store fails in the middle of a write, readers get what the store has, and no copy of what it has not."""
    folder = FolderStore(tmp_path / "bucket")
    CachedStore(folder, hot).put(item(data=b"first"))
    with pytest.raises(Unavailable):
        CachedStore(Full(tmp_path / "bucket"), hot).put(item(data=b"second"))
    assert CachedStore(folder, hot).get(KEY) == b"first"
    (tmp_path / "bucket" / KEY).write_bytes(b"third")
    assert CachedStore(folder, hot).get(KEY) == b"third"


@pytest.mark.parametrize("limit", ["1mb", "4mb"])
def test_what_was_evicted_is_read_from_the_store(limit: str, start_redis, store: ObjectStore) -> None:
    """A cache that is too small for what is written drops copies, or takes none: each read is right, and none fails."""
    server = start_redis(*embedded.CACHE_OPTIONS, "--maxmemory", limit)
    cached = CachedStore(store, HotCache(server.url, 3600, "images"))
    data = {f"original/{n}.jpg": bytes([n]) * 400_000 for n in range(20)}
    for key, written in data.items():
        cached.put(item(key, written))
    cached.put_all([item(key, written[::-1] + b"!") for key, written in data.items()])
    assert all(cached.get(key) == written + b"!" for key, written in data.items())
    assert len(redis.Redis.from_url(server.url).keys()) < len(data)

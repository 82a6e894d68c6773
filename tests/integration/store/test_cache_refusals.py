"""A cache that is broken, refuses, or is something else: nothing fails, and it is said once."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis
from structlog.testing import capture_logs

from stageline.core.errors import NotFound, Unavailable
from stageline.local import embedded
from stageline.store import CachedStore, FolderStore, HotCache, hot_cache
from tests.support.broken_caches import BROKEN
from tests.support.cache_helpers import KEY, cache, item, keeps

pytest_plugins = ("tests.support.cache_fixtures",)
pytestmark = pytest.mark.usefixtures("undisturbed")


def test_a_cache_without_memory_lets_go_of_what_is_old(folder, cache_server) -> None:
    """A server that takes nothing more, and may evict nothing, still drops what is overwritten."""
    store = CachedStore(folder, cache(cache_server))
    store.put(item(data=b"old"))
    client = redis.Redis.from_url(cache_server.url)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")
    store.put(item(data=b"new"))
    assert keeps(cache_server) is None
    assert CachedStore(folder, cache(cache_server)).get(KEY) == b"new"


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of something that is no cache."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(hot_cache, "CONNECT_SECONDS", 0.1)
    with ExitStack() as stack:
        yield BROKEN[request.param](stack)


def test_what_is_no_cache_changes_nothing(broken: str, folder: FolderStore) -> None:
    """Whatever is at CACHE_URL, objects are written, read, overwritten and deleted as without it."""
    store = CachedStore(folder, HotCache(broken, 3600, "images"))
    store.check()
    for data in (b"first", b"second"):
        store.put(item(data=data))
        assert store.get(KEY) == data
    store.put_all([item(f"tagged/{n}.jpg", bytes([n])) for n in range(3)])
    assert [store.get(f"tagged/{n}.jpg") for n in range(3)] == [bytes([n]) for n in range(3)]
    store.delete(KEY)
    with pytest.raises(NotFound):
        store.get(KEY)


def test_it_is_asked_once_and_logged_once(monkeypatch, folder) -> None:
    """A cache that does not answer is tried once, whatever is read and written meanwhile, and logged in one line."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(hot_cache, "PAUSE_SECONDS", 3600.0)
    with capture_logs() as said, socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        store = CachedStore(folder, HotCache(f"redis://127.0.0.1:{server.getsockname()[1]}/0", 3600, "images"))
        for number in range(50):
            store.put(item(data=bytes([number])))
            assert store.get(KEY) == bytes([number])
        with pytest.raises(Unavailable, match=r"CACHE_URL.*read from the object store"):
            store.check_cache()
        server.setblocking(False)
        server.accept()
        with pytest.raises(BlockingIOError):
            server.accept()
    assert [entry["event"] for entry in said] == ["cache away"]


@pytest.mark.parametrize("wrong", ["a password that is wrong", "a password that lacks", "a replica", "no rights"])
def test_a_cache_that_refuses_is_none(wrong: str, start_redis, folder) -> None:
    """A server that is there and lets us do nothing is like none, and the check says why, without the password."""
    arguments = {
        "a replica": ("--replicaof", "127.0.0.1", "1"),
        "no rights": ("--user", "default", "on", "nopass", "~*", "+ping"),
    }
    server = start_redis(*embedded.CACHE_OPTIONS, *arguments.get(wrong, ("--requirepass", "right")))
    url = server.url.replace("//", "//:not-this-one@") if wrong == "a password that is wrong" else server.url
    store = CachedStore(folder, HotCache(url, 3600, "images"))
    for data in (b"first", b"second"):
        store.put(item(data=data))
        assert store.get(KEY) == data
    with pytest.raises(Unavailable) as refused:
        store.check_cache()
    assert "not-this-one" not in str(refused.value)

"""A cache's server that survives a SIGKILL, and a bucket: name this module in ``pytest_plugins``."""

import threading
from collections.abc import Callable

import pytest

from stageline.local import embedded
from stageline.store import FolderStore, HotCache, hot_cache
from tests.support.servers import RedisServer

LASTING = ("--appendonly", "yes", "--appendfsync", "always")  # so that what it held is there again after a SIGKILL


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that answers has the time to, however busy this machine is; no other test's cache is in a log."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 60.0)
    monkeypatch.setattr(hot_cache, "CONNECT_SECONDS", 60.0)
    with monkeypatch.context() as patch:
        patch.setattr(hot_cache, "PAUSE_SECONDS", 3600.0)  # of one that begins anew while it is being ended
        while left := [each for each in threading.enumerate() if is_reminder(each)]:
            for each in left:
                each.cancel()
                each.join()


def is_reminder(thread: threading.Thread) -> bool:
    return isinstance(thread, threading.Timer) and isinstance(getattr(thread.function, "__self__", None), HotCache)


@pytest.fixture
def folder(tmp_path) -> FolderStore:
    return FolderStore(tmp_path / "bucket")


@pytest.fixture
def cache_server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    return start_redis(*embedded.CACHE_OPTIONS, *LASTING)

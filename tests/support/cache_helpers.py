"""What the tests of the cache's outages do beside it: objects, waiting, looking into the server."""

import time
from collections.abc import Callable

import redis

from stageline.store import HotCache
from stageline.store.base import StoredObject
from tests.support.servers import RedisServer

KEY = "original/a.jpg"


def item(key: str = KEY, data: bytes = b"data") -> StoredObject:
    return StoredObject(key, data, "image/jpeg")


def cache(server: RedisServer) -> HotCache:
    return HotCache(server.url, 3600, "images")


def happens(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def keeps(server: RedisServer, key: str = KEY) -> bytes | None:
    return redis.Redis.from_url(server.url).get(f"stageline:cache:images:{key}")

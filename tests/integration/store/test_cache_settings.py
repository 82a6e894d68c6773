"""Which cache a line has: the settings choose, and `stageline up` starts one that is a cache indeed."""

from collections.abc import Callable

import pytest
import redis

from stageline.core.settings import Settings
from stageline.local import embedded
from stageline.store import CachedStore, FolderStore, S3Store, open_store
from stageline.store.base import StoredObject
from tests.support.servers import RedisServer
from tests.support.serving import s3_settings


@pytest.fixture
def cache_server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    return start_redis(*embedded.CACHE_OPTIONS)


def test_the_embedded_server_is_a_cache(tmp_path, start_redis) -> None:
    """It is capped, drops what was not used for longest, writes nothing and listens on this machine only."""
    command = embedded.cache_command(tmp_path, 1234)
    server = start_redis(*command[1:], at_once=False)
    server.extra_args = (*server.extra_args, "--port", str(server.port))
    server.start()
    client = redis.Redis.from_url(server.url, decode_responses=True)
    wanted = {"maxmemory": str(256 * 1024 * 1024), "maxmemory-policy": "allkeys-lru", "save": "", "appendonly": "no"}
    assert {name: client.config_get(name)[name] for name in wanted} == wanted
    assert client.config_get("bind")["bind"] == "127.0.0.1"


def test_the_settings_choose(minio_server, cache_server: RedisServer, tmp_path, monkeypatch) -> None:
    """CACHE_URL puts a cache before a bucket or a folder; unset, empty or `off`, there is none."""
    buckets = (Settings(stageline_data=tmp_path), s3_settings(minio_server, "images"))
    for found, kind in zip(buckets, (FolderStore, S3Store), strict=True):
        assert isinstance(open_store(found), kind)
        assert isinstance(open_store(found.model_copy(update={"cache_url": cache_server.url})), CachedStore)
    for said in ("", "off", "OFF"):
        monkeypatch.setenv("CACHE_URL", said)
        assert isinstance(open_store(Settings(stageline_data=tmp_path)), FolderStore)
    monkeypatch.setenv("CACHE_URL", cache_server.url)
    monkeypatch.setenv("CACHE_TTL", "7")
    store = open_store(Settings(stageline_data=tmp_path))
    store.put(StoredObject("original/a.jpg", b"data", "image/jpeg"))
    assert redis.Redis.from_url(cache_server.url).ttl("stageline:cache:images:original/a.jpg") <= 7

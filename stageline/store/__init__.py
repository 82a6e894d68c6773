"""The object store: a bucket of MinIO or any S3, or a folder, and the hot cache before it. May use: core."""

from typing import Any

from redis.connection import parse_url

from stageline.core.errors import SettingsError
from stageline.core.settings import Settings
from stageline.store.base import ObjectStat, ObjectStore
from stageline.store.cached import CachedStore
from stageline.store.folder import FolderStore
from stageline.store.hot_cache import HotCache
from stageline.store.s3 import S3Store

__all__ = [
    "CachedStore",
    "FolderStore",
    "HotCache",
    "ObjectStat",
    "ObjectStore",
    "S3Store",
    "open_models_store",
    "open_store",
]


def open_store(settings: Settings) -> ObjectStore:
    """Return the object store of the settings, behind the hot cache if CACHE_URL is set.

    The bucket is at MINIO_ENDPOINT, or is a folder below STAGELINE_DATA.

    Raises:
        SettingsError: MINIO_ENDPOINT is malformed, or the cache would be the Redis that holds the queues.
    """
    store: ObjectStore
    if settings.minio_endpoint:
        store = S3Store.from_settings(settings)
    else:
        store = FolderStore(settings.stageline_data / settings.s3_bucket)
    if settings.cache_url is None:
        return store
    if _server(settings.cache_url) == _server(settings.redis_url):
        raise SettingsError(
            "CACHE_URL names the server of REDIS_URL: pictures would fill the memory that the queues need, and it "
            "evicts nothing; give the cache a Redis of its own (maxmemory, allkeys-lru), or set CACHE_URL=off"
        )
    return CachedStore(store, HotCache(settings.cache_url, settings.cache_ttl, settings.s3_bucket))


def open_models_store(settings: Settings) -> ObjectStore:
    """Return the store of models: MODELS_DIR, else MODELS_BUCKET at MINIO_ENDPOINT, else below STAGELINE_DATA.

    Raises:
        SettingsError: MINIO_ENDPOINT is malformed.
    """
    if settings.minio_endpoint and settings.models_dir is None:
        return S3Store.from_settings(settings.model_copy(update={"s3_bucket": settings.models_bucket}))
    return FolderStore(settings.models_folder)


def _server(url: str) -> tuple[Any, ...]:
    """Return the server that a URL names, without its database and password."""
    found = parse_url(url)  # type: ignore[no-untyped-call]
    return (found.get("path"),) if found.get("path") else (found.get("host"), found.get("port", 6379))

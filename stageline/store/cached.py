"""An object store behind the hot cache."""

from collections.abc import Callable, Iterator, Sequence

from stageline.store.base import MAX_OBJECT_BYTES, ObjectStat, ObjectStore, StoredObject, check_size
from stageline.store.hot_cache import HotCache

# Measured (docs/decisions/0009): stages read the first three folders again, people the tagged one.
# JSON is not cached: the catalogue is built from the store itself.
HOT_FOLDERS = ("original/", "resized/", "grayscale/", "tagged/")
MAX_COPY_BYTES = 32 * 1024 * 1024


class CachedStore:
    """An ObjectStore that keeps copies of pictures in the hot cache when they are written.

    Reads try the cache first. A read that misses does not fill the cache: nearly all reads follow a write by moments,
    and a late reader could restore an old object.

    HotCache says how long a copy may be older than its object. If the bucket is changed without this class, for
    example by hand, a copy may be stale until it expires (CACHE_TTL).
    """

    def __init__(self, store: ObjectStore, cache: HotCache) -> None:
        self._store = store
        self._cache = cache

    def get(self, key: str, at_most: int = MAX_OBJECT_BYTES) -> bytes:
        """Read an object, from the cache if it has a copy; see ObjectStore."""
        found = self._cache.get(key) if key.startswith(HOT_FOLDERS) else None
        if found is None:
            return self._store.get(key, at_most)
        check_size(key, len(found), at_most)
        return found

    def stat(self, key: str) -> ObjectStat:
        """Ask the store; see ObjectStore."""
        return self._store.stat(key)

    def put(self, item: StoredObject) -> None:
        """Write an object, and keep a copy; see ObjectStore."""
        self._write([item], lambda: self._store.put(item))

    def put_all(self, items: Sequence[StoredObject]) -> None:
        """Write several objects, and keep copies; see ObjectStore."""
        self._write(items, lambda: self._store.put_all(items))

    def delete(self, key: str) -> None:
        """Remove an object and its copy; see ObjectStore."""
        if not key.startswith(HOT_FOLDERS):
            self._store.delete(key)
            return
        self._cache.begin_write([key])
        self._store.delete(key)
        self._cache.drop([key])

    def keys(self, prefix: str) -> Iterator[str]:
        """Ask the store; see ObjectStore."""
        return self._store.keys(prefix)

    def check(self) -> None:
        """Check the store; the cache is not needed; see ObjectStore."""
        self._store.check()

    def check_cache(self) -> None:
        """Check the cache; without the cache everything works, a little slower.

        Raises:
            Unavailable: the cache does not answer.
        """
        self._cache.check()

    def drop_copies(self) -> None:
        """Drop every copy, after the bucket was changed without this class.

        Raises:
            Unavailable: the cache does not answer.
        """
        self._cache.drop_all()

    def _write(self, items: Sequence[StoredObject], write: Callable[[], None]) -> None:
        hot = {item.key: item.data for item in items if item.key.startswith(HOT_FOLDERS)}
        mark = self._cache.begin_write(list(hot)) if hot else None
        write()
        if mark is not None:
            self._cache.finish_write(mark, {key: data for key, data in hot.items() if len(data) <= MAX_COPY_BYTES})
        elif hot:
            self._cache.drop(list(hot))  # again: another process may have kept the overwritten object meanwhile

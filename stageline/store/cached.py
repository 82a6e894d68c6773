"""A store with a hot cache before it."""

from collections.abc import Callable, Iterator, Sequence

from stageline.store.base import MAX_OBJECT_BYTES, ObjectStat, ObjectStore, StoredObject, check_size
from stageline.store.hot_cache import HotCache

# What is read again, by measurement (docs/decisions/0009): the first three by the stages, the tagged one by people.
# JSON is not: what the catalogue is made of comes from the store itself.
HOT_FOLDERS = ("original/", "resized/", "grayscale/", "tagged/")
MAX_COPY_BYTES = 32 * 1024 * 1024


class CachedStore:
    """An ObjectStore whose pictures are kept in memory for a while, as they are written.

    Reads look into the cache first. What is not there is read from the store and not put into the cache: nearly all of
    what is read was written a moment ago, and a reader that comes late could put an old object back.

    A copy may be older than the object for as long as HotCache says; and for as long as it lives (CACHE_TTL) where
    somebody changed the bucket without this class, as by hand.
    """

    def __init__(self, store: ObjectStore, cache: HotCache) -> None:
        self._store = store
        self._cache = cache

    def get(self, key: str, at_most: int = MAX_OBJECT_BYTES) -> bytes:
        """Read an object, from memory where it is there; see ObjectStore."""
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
        """Reach the store, whether or not the cache is there; see ObjectStore."""
        self._store.check()

    def check_cache(self) -> None:
        """Reach the cache, without which everything works, a little slower.

        Raises:
            Unavailable: it does not answer.
        """
        self._cache.check()

    def drop_copies(self) -> None:
        """Let go of every copy, after the bucket was changed without this class.

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
            self._cache.drop(list(hot))  # once more: meanwhile another may have kept what was just overwritten

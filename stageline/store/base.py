"""The contract of every object store; tests/integration/store/test_store.py checks each implementation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from stageline.core.errors import TooLarge

STORE_PROBE = ".health/write-probe"  # written and removed by health checks
MAX_OBJECT_BYTES = 256 * 1024 * 1024  # the largest picture that the line makes, almost uncompressed


@dataclass(frozen=True)
class StoredObject:
    """An object to write: its key in the bucket, its bytes, its media type."""

    key: str
    data: bytes
    content_type: str


@dataclass(frozen=True)
class ObjectStat:
    """The metadata of an object: its size in bytes, its ETag, and the time of its last write (UTC).

    The ETag is the hex MD5 of the bytes, except on S3 for an object that was uploaded in parts.
    """

    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """Objects by key. Every method raises Unavailable when the store cannot be reached."""

    def get(self, key: str, at_most: int = MAX_OBJECT_BYTES) -> bytes:
        """Read an object.

        Raises:
            NotFound: no object has that key.
            TooLarge: the object has more than `at_most` bytes; it was not read.
        """

    def stat(self, key: str) -> ObjectStat:
        """Return an object's metadata.

        Raises:
            NotFound: no object has that key.
        """

    def put(self, item: StoredObject) -> None:
        """Write an object atomically, replacing any object of that key."""

    def put_all(self, items: Sequence[StoredObject]) -> None:
        """Write several objects, in one request if the store can; after an error, any of them may be written."""

    def delete(self, key: str) -> None:
        """Remove an object; a missing object is no error."""

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys that begin with the prefix, in order."""

    def check(self) -> None:
        """Connect to the store, and create its bucket if it is missing."""


def check_size(key: str, size: int, at_most: int) -> None:
    """Refuse an object that is too large.

    Raises:
        TooLarge: `size` is over `at_most`.
    """
    if size > at_most:
        raise TooLarge(f"{key} has {size} bytes; at most {at_most} are read")

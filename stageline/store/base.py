"""What every object store does; the contract suite in tests/integration/store/test_store.py holds each to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from stageline.core.errors import TooLarge

STORE_PROBE = ".health/write-probe"  # written now and then to see that writes are taken, and removed; nobody's object
MAX_OBJECT_BYTES = 256 * 1024 * 1024  # the largest picture that the line makes, uncompressed nearly


@dataclass(frozen=True)
class StoredObject:
    """An object to write: its key in the bucket, its bytes, its media type."""

    key: str
    data: bytes
    content_type: str


@dataclass(frozen=True)
class ObjectStat:
    """What is known of an object without reading it: its size in bytes, its ETag, and when it was written (UTC).

    The ETag is the hex MD5 of the bytes, as S3 gives it, but of what was uploaded there in parts.
    """

    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """Objects by key. Every method raises Unavailable when the store cannot be reached."""

    def get(self, key: str, at_most: int = MAX_OBJECT_BYTES) -> bytes:
        """Read an object.

        Raises:
            NotFound: there is none of that key.
            TooLarge: it has more than `at_most` bytes; none of them was read.
        """

    def stat(self, key: str) -> ObjectStat:
        """Tell an object's size, ETag and time.

        Raises:
            NotFound: there is none of that key.
        """

    def put(self, item: StoredObject) -> None:
        """Write an object whole or not at all, over what was there."""

    def put_all(self, items: Sequence[StoredObject]) -> None:
        """Write several, cheaper than one by one where the store can; on an error any of them may be written."""

    def delete(self, key: str) -> None:
        """Remove an object; it is no error when there is none."""

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys that begin with the prefix, in order."""

    def check(self) -> None:
        """Reach the store and make sure that its bucket is there."""


def check_size(key: str, size: int, at_most: int) -> None:
    """Refuse an object that is too large.

    Raises:
        TooLarge: it is.
    """
    if size > at_most:
        raise TooLarge(f"{key} has {size} bytes; at most {at_most} are read")

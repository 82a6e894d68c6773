"""An archive of the buckets, as `archive` writes it, back into them; anybody may have made it, so all of it is checked.

A small batch of objects is in memory at a time, or one that is large; of what is not written, a block.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any, Self

from stageline.core.errors import NotFound, StagelineError, TooLarge
from stageline.imaging.codec import FORMATS
from stageline.maintenance.archive import FORMAT, IMAGES, KEYS, LAST, LIMITS, MODELS, Count, Done
from stageline.pipeline.schema import FOLDERS
from stageline.registry.repository import CURRENT
from stageline.store.base import ObjectStore, StoredObject

MAX_HEADER_BYTES = 8 * 1024  # of a name that is too long for tar's own field; S3 allows 1024 bytes
HEADERS = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)  # files, and their long names
MAX_LAST_BYTES = 64 * 1024
BLOCK_BYTES = 256 * 1024
BATCH_OBJECTS, BATCH_BYTES = 64, 8 * 1024 * 1024
LARGEST_COMPARED = 64 * 1024 * 1024  # a larger one is written again: to compare it, it would be in memory twice
PLAIN = "an archive of buckets holds plain files and nothing else"
TYPES = {"json": "application/json", "jpeg": "image/jpeg"} | dict(FORMATS.values())


class BadArchive(StagelineError):
    """It is no archive of buckets, or was cut off; the text says which, and what was wrong."""


def restore(stores: Mapping[str, ObjectStore], source: IO[bytes]) -> Done:
    """Write an archive's objects into the buckets, over what is there under the same keys; may be repeated.

    Args:
        stores: the buckets by IMAGES and MODELS, with the cache before them, which must not hide what is restored;
            those of an archive that are not among them are read and held against the rules, and not written.
        source: the archive, from its first byte.

    Raises:
        BadArchive: it is none, holds what no bucket of a line has, or was cut off; what came before is written.
        Unavailable: a store is away; some objects are written.
    """
    done = Done(counts={bucket: Count() for bucket in LIMITS})
    writers = {bucket: _Writer(store, done) for bucket, store in stores.items()}
    last: bytes | None = None
    for name, blocks in _members(source):
        if last is not None:
            raise BadArchive(f"the archive goes on after {LAST}, its end: it is not as `bucket export` writes it")
        if name == LAST:
            last = _whole(blocks)
            continue
        bucket, _, key = name.partition("/")
        if bucket in writers:
            done.counts[bucket].add(writers[bucket].write(key, _whole(blocks)))
        else:
            done.counts[bucket].add(sum(map(len, blocks)))
    for writer in writers.values():
        writer.flush()
    _check_end(last, done)
    return done


def _members(source: IO[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The names in an archive, each held against the rules before its bytes are read: by the caller, block by block."""
    with _explained(), _Archive.open(fileobj=source, mode="r|") as archive:
        while (member := archive.next()) is not None:
            _check(member)
            yield member.name, _blocks(archive, member)
            archive.members = []  # type: ignore[attr-defined]  # or it would keep the header of each


def _blocks(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    with _explained():  # that there are fewer bytes than the member has, too
        file = archive.extractfile(member)
        while file is not None and (block := file.read(BLOCK_BYTES)):
            yield block


def _whole(blocks: Iterable[bytes]) -> bytes:
    """All of it, once in memory: tarfile's own `read`, or a list of blocks to join, would hold it twice."""
    whole = io.BytesIO()
    for block in blocks:
        whole.write(block)
    return whole.getvalue()


@contextmanager
def _explained() -> Iterator[None]:
    """Make one error of what strange headers come to."""
    try:
        yield
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise BadArchive(f"the archive is damaged or cut off, or is no tar archive: {error}") from None


def _check(member: tarfile.TarInfo) -> None:
    """Refuse what no archive of buckets has."""
    bucket, _, key = member.name.partition("/")
    if member.issparse():
        raise BadArchive(f"{member.name!r} is refused: {PLAIN}")
    if member.name != LAST and (bucket not in LIMITS or not KEYS[bucket].fullmatch(key)):
        raise BadArchive(
            f"{member.name!r} is refused: members are {IMAGES}/<folder>/<name>, with the folders "
            f"{', '.join(FOLDERS)}, or {MODELS}/<name>/<version>/<file>"
        )
    at_most = LIMITS.get(bucket, MAX_LAST_BYTES)
    if not 0 <= member.size <= at_most:
        raise BadArchive(f"{member.name!r} is refused: it has {member.size} bytes, and at most {at_most} are taken")


def _check_end(last: bytes | None, done: Done) -> None:
    """Hold what was read against what the last member says."""
    if last is None:
        raise BadArchive(f"the archive is cut off or damaged: its end, {LAST}, is missing")
    try:
        told = json.loads(last)
        form, counts = told["format"], {bucket: told.get(bucket) or asdict(Count()) for bucket in LIMITS}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadArchive(f"{LAST} is not what `bucket export` writes") from None
    if form != FORMAT:
        raise BadArchive(
            f"the archive is of format {form}, and this version of Stageline reads {FORMAT}: use a newer one"
        )
    found = {bucket: asdict(count) for bucket, count in done.counts.items()}
    if counts != found:
        raise BadArchive(f"the archive is not whole: {LAST} counts {counts}, and there were {found}")


class _Member(tarfile.TarInfo):
    """A member whose headers are refused before they are read where memory would fill with them."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header; see TarInfo."""
        found = super().frombuf(buf, encoding, errors)
        if found.type not in HEADERS:
            raise BadArchive(f"{found.name!r} is refused, as its header is of the type {found.type!r}: {PLAIN}")
        if found.type not in tarfile.REGULAR_TYPES and not 0 <= found.size <= MAX_HEADER_BYTES:
            raise BadArchive(f"a header of {found.size} bytes is refused: no key of an object needs as much")
        return found

    @classmethod
    def fromtarfile(cls, tarfile: "_Archive") -> Self:  # type: ignore[override]
        """Read a member's headers: its own, and one before that with its name; see TarInfo."""
        if tarfile.headers_above > 1:
            raise BadArchive("a header of a header is refused: no name of an object needs as many")
        tarfile.headers_above += 1
        try:
            return super().fromtarfile(tarfile)
        finally:
            tarfile.headers_above -= 1

    def _proc_gnusparse_10(self, member: tarfile.TarInfo, *_: Any) -> None:
        """Refuse a file with holes whose list of them stands before its bytes, and may be of any length."""
        raise BadArchive(f"{member.name!r} is refused: {PLAIN}")


class _Archive(tarfile.TarFile):
    """An archive of such members."""

    tarinfo = _Member
    headers_above = 0
    """Of the member that is read just now: how many were begun."""


class _Writer:
    """Writes objects into a bucket, small ones together, and leaves those that are there already."""

    def __init__(self, store: ObjectStore, done: Done) -> None:
        store.check()
        self._store = store
        self._done = done
        self._is_empty = next(iter(store.keys("")), None) is None  # then nothing need be asked for
        self._batch: list[StoredObject] = []

    def write(self, key: str, data: bytes) -> int:
        """Write an object, now or with the next ones; return how many bytes it has."""
        if self._is_empty or not self._has(key, data):
            self._add(key, data)
        else:
            self._done.unchanged += 1
        return len(data)

    def _add(self, key: str, data: bytes) -> None:
        item = StoredObject(key, data, content_type(key))
        # In a batch, MinIO finds the types by the names' endings, and of these it finds what the line says.
        is_told = item.content_type not in ("image/jpeg", "application/json") or key.endswith(f"/{CURRENT}")
        if is_told or len(data) >= BATCH_BYTES:  # a batch is in memory twice
            self.flush()  # all comes in the archive's order: what points at others after them
            self._store.put(item)
            return
        self._batch.append(item)
        if len(self._batch) >= BATCH_OBJECTS or sum(len(each.data) for each in self._batch) >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._batch:
            self._store.put_all(self._batch)
            self._batch = []

    def _has(self, key: str, data: bytes) -> bool:
        """Whether a reader gets just this: an ETag is no MD5 everywhere, and the cache may have an old copy."""
        try:
            return len(data) <= LARGEST_COMPARED and self._store.get(key, len(data)) == data
        except (NotFound, TooLarge):
            return False


def content_type(key: str) -> str:
    """The media type that the line writes an object of this key with."""
    name = key.rpartition("/")[2]
    if name == CURRENT:
        return "application/json"
    return TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")

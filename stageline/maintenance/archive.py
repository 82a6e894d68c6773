"""The buckets as one stream of the standard tar format: what a backup keeps of them.

Members are ``images/<key>`` and ``models/<key>``, whatever the buckets are called. The last one, ``stageline.json``,
counts the others: an archive without it was cut off. One object at a time is in memory. ``unarchive`` has the way back.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO

from stageline import __version__
from stageline.core.errors import NotFound, TooLarge
from stageline.pipeline.schema import FOLDERS
from stageline.registry.card import CARD, MAX_NETWORK_BYTES
from stageline.registry.repository import CURRENT
from stageline.store.base import MAX_OBJECT_BYTES, STORE_PROBE, ObjectStore

IMAGES, MODELS = "images", "models"
LIMITS = {IMAGES: MAX_OBJECT_BYTES, MODELS: MAX_NETWORK_BYTES}
LAST = "stageline.json"
FORMAT = 1
NAMED_AT_MOST = 5
_PART = r"(?!\.{1,2}(?:/|$))[^/\\\x00-\x1f\x7f-\x9f\ud800-\udfff]+"  # of a key; neither "." nor ".."
KEYS = {
    IMAGES: re.compile(rf"(?:{'|'.join(FOLDERS)})(?:/{_PART})+"),
    MODELS: re.compile(rf"[a-z0-9][a-z0-9._-]{{0,63}}(?:/{_PART}){{1,2}}"),
}


@dataclass
class Count:
    """How many objects of a bucket, and of how many bytes together."""

    objects: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one more."""
        self.objects += 1
        self.bytes += size


@dataclass
class Done:
    """What came of an export or an import."""

    counts: dict[str, Count] = field(default_factory=dict)
    vanished: int = 0
    """Listed, and deleted before they were read."""
    left_out: int = 0
    """In a bucket, and in no archive: they are not the line's, or too large to be read."""
    named: list[str] = field(default_factory=list)
    """The first of those."""
    unchanged: int = 0
    """Of those imported: they were there already."""

    def leave_out(self, name: str) -> None:
        """Note an object that is in no archive."""
        self.left_out += 1
        if len(self.named) < NAMED_AT_MOST:
            self.named.append(name)


def export(stores: Mapping[str, ObjectStore], output: IO[bytes]) -> Done:
    """Write the buckets' objects as one archive.

    Args:
        stores: the buckets by IMAGES and MODELS; without a cache, which may still hold what is no longer there.
        output: where the archive goes, from its first byte to its last.

    Raises:
        Unavailable: a store is away; what was written is then no archive, and cannot be imported.
    """
    done = Done()
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for bucket, store in stores.items():
            done.counts[bucket] = Count()
            for key in _listed(bucket, store, done):
                _export_one(archive, bucket, store, key, done)
        counts = {bucket: asdict(count) for bucket, count in done.counts.items()}
        last = json.dumps({"format": FORMAT, "version": __version__, **counts}).encode() + b"\n"
        archive.addfile(_member(LAST, len(last), 0), io.BytesIO(last))
    return done


def _export_one(archive: tarfile.TarFile, bucket: str, store: ObjectStore, key: str, done: Done) -> None:
    try:
        modified = store.stat(key).modified
        data = store.get(key, LIMITS[bucket])
    except NotFound:
        done.vanished += 1
    except TooLarge:
        done.leave_out(f"{bucket}/{key}")
    else:
        archive.addfile(_member(f"{bucket}/{key}", len(data), int(modified.timestamp())), io.BytesIO(data))
        archive.members = []  # type: ignore[attr-defined]  # or it would keep the header of each
        done.counts[bucket].add(len(data))


def _listed(bucket: str, store: ObjectStore, done: Done) -> Iterator[str]:
    """The keys to export. Of pictures, what is written last comes first: what has results in an archive has the rest.

    A picture that came to its end meanwhile is in it without results, and `reconcile` sends it down the line again.
    Models come in the order that they are written in, the pointer last, as workers follow it at once.
    """
    if bucket == MODELS:
        keys = [key for key in store.keys("") if _is_ours(bucket, key, done)]
        yield from sorted(keys, key=lambda key: (key.endswith(f"/{CURRENT}"), key.endswith(f"/{CARD}"), key))
        return
    for folder in reversed(FOLDERS):
        yield from (key for key in store.keys(f"{folder}/") if _is_ours(bucket, key, done))
    for key in store.keys(""):
        if key.partition("/")[0] not in FOLDERS and key != STORE_PROBE:
            done.leave_out(f"{bucket}/{key}")


def _is_ours(bucket: str, key: str, done: Done) -> bool:
    if KEYS[bucket].fullmatch(key):
        return True
    done.leave_out(f"{bucket}/{key}")
    return False


def _member(name: str, size: int, modified: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, modified, 0o644
    return member

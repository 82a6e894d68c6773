"""Buckets with something in them, archives of them, and archives that somebody else made, for tests."""

import io
import json
import os
import tarfile
from pathlib import Path

from stageline.maintenance.archive import IMAGES, LAST, MODELS, Done, export
from stageline.maintenance.unarchive import restore
from stageline.store import FolderStore, ObjectStore
from stageline.store.base import StoredObject

LONG = "x" * 90 + "/" + "ü" * 60 + ".jpg"  # more than tar's own field takes
PICTURES = {
    "results/a.json": b"{}",
    "tagged/a.jpg": b"\xff\xd8tagged" * 1000,
    "blurred/a.jpg": b"",
    "findings/a.json": b'{"faces": []}',
    "grayscale/a.jpg": os.urandom(70_000),
    "original/a.png": os.urandom(6_000_000),
    "original/a.photo of mine.jpg": b"of a foreign name",
    f"original/{LONG}": b"of a long name",
}
NETWORKS = {
    "mtcnn/current": b'{"version": "1"}',
    "mtcnn/1/model.json": b"{}",
    "mtcnn/1/pnet.onnx": os.urandom(30_000),
    "a-model/current": b'{"version": "2"}',
    "a-model/2/model.onnx": b"network",
    "a-model/2/model.json": b"{}",
}


def buckets(store: ObjectStore, tmp_path: Path) -> dict[str, ObjectStore]:
    """Both buckets, with something in each; the pictures in that store."""
    return {IMAGES: fill(store, PICTURES), MODELS: fill(FolderStore(tmp_path / "from-models"), NETWORKS)}


def fill(store: ObjectStore, objects: dict[str, bytes]) -> ObjectStore:
    """Put objects into a bucket."""
    store.check()
    for key, data in objects.items():
        store.put(StoredObject(key, data, "application/octet-stream"))
    return store


def content(store: ObjectStore) -> dict[str, bytes]:
    """All that is in a bucket."""
    return {key: store.get(key) for key in store.keys("")}


def exported(stores: dict[str, ObjectStore]) -> bytes:
    """An archive of buckets."""
    output = io.BytesIO()
    export(stores, output)
    return output.getvalue()


def imported(stores: dict[str, ObjectStore], data: bytes) -> Done:
    """What came of importing an archive."""
    return restore(stores, io.BytesIO(data))


def member(name: str, data: bytes = b"x", **more: object) -> bytes:
    """An archive of one member, and a good end."""
    found = tarfile.TarInfo(name)
    found.size = len(data)
    for field, value in more.items():
        setattr(found, field, value)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(found, io.BytesIO(data) if found.isreg() else None)
        end = json.dumps({"format": 1, "images": {"objects": 1, "bytes": len(data)}}).encode()
        archive.addfile(sized(LAST, len(end)), io.BytesIO(end))
    return output.getvalue()


def sized(name: str, size: int) -> tarfile.TarInfo:
    """A member that says to be so large."""
    found = tarfile.TarInfo(name)
    found.size = size
    return found


def huge(name: str, size: int) -> bytes:
    """The header alone of a member that says to be so large."""
    return sized(name, size).tobuf(tarfile.PAX_FORMAT)


def block(kind: bytes, data: bytes, size: int | None = None) -> bytes:
    """A header of that kind, and its data, of the size that it has or is said to have."""
    found = sized("images/original/a.jpg", len(data) if size is None else size)
    found.type = kind
    return found.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def records(number: int, begin: int = 0) -> bytes:
    """So many records of a PAX header, of which each becomes an entry of a dictionary."""
    return b"".join(b"12 %06x=\n\n" % n for n in range(begin, begin + number))


def holes(number: int) -> bytes:
    """A file with so many holes, as PAX 1.0 has it: their list stands before its bytes."""
    told = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
    return block(tarfile.XHDTYPE, told) + block(tarfile.REGTYPE, b"%d\n" % number + b"0\n" * 2 * number)


def old_holes(number: int) -> bytes:
    """A file with so many holes, as GNU tar once had it: blocks of 21, each saying that another follows."""
    header = bytearray(block(tarfile.GNUTYPE_SPARSE, b""))
    header[482] = 1
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    more = (b"%011o\0" % 1 * 42).ljust(504, b"\0") + b"\1" + bytes(7)
    return bytes(header) + more * (number // 21) + bytes(512)


def headers_for_all(number: int, each: int = 5000) -> bytes:
    """Global headers, which hold for all that follow and are therefore kept, and a good archive."""
    told = (block(tarfile.XGLTYPE, records(each, n * each)) for n in range(number))
    return b"".join(told) + member("images/original/a.jpg")


def headers_of_headers(number: int, each: int = 600) -> bytes:
    """Each header one of the next; all are held until the last was read."""
    return block(tarfile.XHDTYPE, records(each)) * number + member("images/original/a.jpg")

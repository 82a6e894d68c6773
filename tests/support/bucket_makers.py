"""Buckets with something in them, and archives of them as Stageline 0.1.0 exported them, for tests."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from stageline.store import ObjectStore
from stageline.store.base import StoredObject
from tests.support import commands
from tests.support.places import missing

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
    "mtcnn/1/pnet.onnx": os.urandom(30_000),
    "mtcnn/1/model.json": b"{}",
    "mtcnn/current": b'{"version": "1"}',
    "a-model/2/model.onnx": b"network",
    "a-model/2/model.json": b"{}",
    "a-model/current": b'{"version": "2"}',
}


def need_rclone() -> None:
    """Say that rclone is missing, where it is."""
    if shutil.which("rclone") is None:
        missing("no rclone on the PATH: `make servers` installs it")


def fill(store: ObjectStore, objects: dict[str, bytes]) -> ObjectStore:
    """Put objects into a bucket."""
    store.check()
    for key, data in objects.items():
        store.put(StoredObject(key, data, "application/octet-stream"))
    return store


def content(store: ObjectStore) -> dict[str, bytes]:
    """All that is in a bucket."""
    return {key: store.get(key) for key in store.keys("")}


def bucket(folder: Path, *words: object, **own: str) -> "subprocess.CompletedProcess[str]":
    """Run `stageline bucket` in a folder, whose folder `here` is the line's data where nothing else is said."""
    return commands.stageline(folder, "bucket", *words, **{"STAGELINE_DATA": str(folder / "here"), **own})


def old_archive(members: dict[str, bytes], **end: object) -> bytes:
    """An archive as 0.1.0 wrote it: members, and at their end their count, unless one is given."""
    counts: dict[str, dict[str, int]] = {}
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            count = counts.setdefault(name.partition("/")[0], {"objects": 0, "bytes": 0})
            count["objects"] += 1
            count["bytes"] += len(data)
            archive.addfile(sized(name, len(data)), io.BytesIO(data))
        last = json.dumps({"format": 1, "version": "0.1.0", **counts, **end}).encode() + b"\n"
        archive.addfile(sized("stageline.json", len(last)), io.BytesIO(last))
    return output.getvalue()


def sized(name: str, size: int) -> tarfile.TarInfo:
    """A member of that size."""
    found = tarfile.TarInfo(name)
    found.size = size
    return found

"""Archives of buckets take no more memory for many objects than for a few, and for a large one no more than itself."""

import gc
import tarfile
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from stageline.maintenance.archive import IMAGES, MODELS, export
from stageline.maintenance.unarchive import LARGEST_COMPARED, restore
from stageline.registry.card import MAX_NETWORK_BYTES
from stageline.store import FolderStore, ObjectStore
from stageline.store.base import MAX_OBJECT_BYTES, StoredObject
from tests.support.archive_makers import fill
from tests.support.manifests import named, quantity, workload

MIB = 1024 * 1024
PARTS = 40 * MIB  # of an object on its way, which MinIO's client has in memory beside it
BESIDES = 192 * MIB  # Python and all of our modules have 90 MiB; the rest is PARTS, and margin


@contextmanager
def peak() -> Iterator[list[int]]:
    """How much memory the block takes at most, in the list at its end."""
    found: list[int] = []
    tracemalloc.start()
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


class Watched(FolderStore):
    """A folder that counts the members of archives in memory whenever it is read from or written to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.counts: list[int] = []

    def get(self, key: str, at_most: int = MAX_OBJECT_BYTES) -> bytes:
        self.count()
        return super().get(key, at_most)

    def put_all(self, items: Sequence[StoredObject]) -> None:
        self.count()
        super().put_all(items)

    def count(self) -> None:
        self.counts.append(sum(type(each) is tarfile.TarInfo for each in gc.get_objects()))


def test_headers_are_not_kept(tmp_path) -> None:
    """Out and in, the headers of members that are done with are let go of."""
    names = [f"original/{number}.png" for number in range(20)]  # each is written by itself
    fill(FolderStore(tmp_path / "a"), dict.fromkeys(names, b"x"))
    gc.collect()  # what earlier tests left
    there, to = Watched(tmp_path / "a"), Watched(tmp_path / "b")
    with (tmp_path / "x.tar").open("wb") as output:
        export({IMAGES: there}, output)
    with (tmp_path / "x.tar").open("rb") as source:
        restore({IMAGES: to}, source)
    assert len(there.counts) == len(to.counts) == len(names)
    assert max(there.counts) <= 3
    assert max(to.counts) <= 3


def test_memory_does_not_grow_with_the_bucket(tmp_path) -> None:
    """Out and in, many objects take no more of it than a few do."""

    def taken(number: int) -> int:
        folder = tmp_path / str(number)
        store = fill(FolderStore(folder / "a"), {f"results/{n:05}.json": bytes(100_000) for n in range(number)})
        with peak() as found, (folder / "x.tar").open("wb+") as file:
            export({IMAGES: store}, file)
            file.seek(0)
            restore({IMAGES: FolderStore(folder / "b")}, file)
        return found[0]

    assert taken(400) < taken(100) + 2_000_000  # 30 MB more pass through; the folder's list of names grows a little


@pytest.mark.parametrize(("bucket", "name"), [(MODELS, "m/{}/model.onnx"), (IMAGES, "tagged/{}.jpg")])
def test_a_large_object_is_in_memory_once(store: ObjectStore, tmp_path: Path, bucket: str, name: str) -> None:
    """Out, in, and in again over itself: once. Where it is only looked at: never."""
    size = LARGEST_COMPARED + MIB
    small, *large = (name.format(each) for each in ("-", 0, 1))
    fill(store, {small: b"x", **dict.fromkeys(large, bytes(size))})
    with (tmp_path / "x.tar").open("wb") as output, peak() as taken:
        export({bucket: store}, output)
    assert size < taken[0] < size + PARTS
    with (tmp_path / "x.tar").open("rb") as source, peak() as taken:
        assert restore({}, source).counts[bucket].bytes == 2 * size + 1
    assert taken[0] < 2 * MIB
    fill(store, {small: b"y"})  # which is then written before a large one, but not together with it
    with (tmp_path / "x.tar").open("rb") as source, peak() as taken:
        restore({bucket: store}, source)
    assert size < taken[0] < size + PARTS


@pytest.mark.parametrize(("kind", "name"), [("CronJob", "backup-bucket"), ("Deployment", "grab")])
def test_the_largest_model_fits_where_it_is_copied(kind: str, name: str) -> None:
    """The nightly export, and an import as docs/backup.md has it, are not killed by a network of the largest size."""
    (container,) = workload(named(kind, name)).pod["containers"]
    assert quantity(container["resources"]["limits"]["memory"]) >= max(MAX_NETWORK_BYTES, MAX_OBJECT_BYTES) + BESIDES

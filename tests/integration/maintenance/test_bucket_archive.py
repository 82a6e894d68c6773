"""The buckets as a tar archive, out and in: whole, and the same in every kind of store."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stageline.core.errors import Unavailable
from stageline.local.embedded import CACHE_OPTIONS
from stageline.maintenance.archive import IMAGES, LAST, MODELS, Count, export
from stageline.maintenance.unarchive import BadArchive
from stageline.store import CachedStore, FolderStore, HotCache, ObjectStore, S3Store, hot_cache
from stageline.store.base import STORE_PROBE, StoredObject
from tests.support.archive_makers import NETWORKS, PICTURES, buckets, content, exported, fill, imported
from tests.support.serving import s3_settings


@pytest.fixture
def full(store: ObjectStore, tmp_path: Path) -> dict[str, ObjectStore]:
    """Both buckets, with something in each; the pictures in each kind of store."""
    return buckets(store, tmp_path)


@pytest.fixture(params=["folder", "minio"])
def empty(request, tmp_path: Path) -> dict[str, ObjectStore]:
    """Both buckets, empty, in each kind of store."""
    if request.param == "folder":
        return {name: FolderStore(tmp_path / "to" / name) for name in (IMAGES, MODELS)}
    server = request.getfixturevalue("minio_server")
    name = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]
    return {each: S3Store.from_settings(s3_settings(server, f"{each}-{name}")) for each in (IMAGES, MODELS)}


def test_what_went_out_comes_in_again(full, empty) -> None:
    """Every object, byte for byte, from each kind of store into each; a second time changes nothing."""
    data = exported(full)
    done = imported(empty, data)
    assert content(empty[IMAGES]) == PICTURES
    assert content(empty[MODELS]) == NETWORKS
    assert done.unchanged == 0
    assert done.counts[IMAGES] == Count(len(PICTURES), sum(map(len, PICTURES.values())))
    again = imported(empty, data)
    assert again.unchanged == len(PICTURES) + len(NETWORKS)
    assert content(empty[IMAGES]) == PICTURES


def test_any_tar_reads_it(full, tmp_path) -> None:
    """It is the standard format: names below images/ and models/, the objects' times, and the counts at the end."""
    path = tmp_path / "buckets.tar"
    path.write_bytes(exported(full))
    listed = subprocess.run(["tar", "-tf", path], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(listed) == len(PICTURES) + len(NETWORKS) + 1
    assert {"images/original/a.png", "models/mtcnn/current"} < set(listed)
    assert listed[-1] == LAST
    with tarfile.open(path) as archive:
        assert archive.getmember("images/original/a.png").mtime == int(
            full[IMAGES].stat("original/a.png").modified.timestamp()
        )
        told = json.load(archive.extractfile(LAST))
    assert told["models"] == {"objects": len(NETWORKS), "bytes": sum(map(len, NETWORKS.values()))}


def test_results_go_out_first_and_pointers_last(full) -> None:
    """What has results in an archive has the rest, even when pictures came to their end while it was written."""
    with tarfile.open(fileobj=io.BytesIO(exported(full))) as archive:
        names = archive.getnames()
    folders = [name.split("/")[1] for name in names if name.startswith("images/")]
    assert list(dict.fromkeys(folders)) == ["results", "blurred", "tagged", "findings", "grayscale", "original"]
    ends = [name.rpartition("/")[2] for name in names if name.startswith("models/")]
    assert ends == ["model.onnx", "pnet.onnx", "model.json", "model.json", "current", "current"]


def test_the_types_are_those_of_the_line(minio_server, tmp_path) -> None:
    """Objects come back with the media type that the line gives them."""
    types = {
        "original/a.jpg": "image/jpeg", "original/a.png": "image/png", "original/a.webp": "image/webp",
        "original/a.gif": "image/gif", "original/a.bmp": "image/bmp", "original/b.jpg": "image/jpeg",
        "results/a.json": "application/json", "findings/a.json": "application/json",
    }  # fmt: skip
    of_models = {"m/1/model.onnx": "application/octet-stream", "m/1/model.json": "application/json"}
    of_models["m/current"] = "application/json"
    source = {
        IMAGES: fill(FolderStore(tmp_path / "pictures"), dict.fromkeys(types, b"x")),
        MODELS: fill(FolderStore(tmp_path / "models"), dict.fromkeys(of_models, b"x")),
    }
    stores = {name: S3Store.from_settings(s3_settings(minio_server, f"typed-{name}")) for name in (IMAGES, MODELS)}
    imported(stores, exported(source))
    for name, expected in ((IMAGES, types), (MODELS, of_models)):
        client = stores[name]._client
        assert {key: client.stat_object(f"typed-{name}", key).content_type for key in expected} == expected


def test_what_is_not_the_lines_is_left_out_and_counted(tmp_path) -> None:
    """Objects outside of the line's folders are named; nothing is skipped silently, and the archive is good."""
    foreign = {"notes.txt": b"n", "snowball.1.tar": b"s", "other/a.jpg": b"o"}
    store = fill(FolderStore(tmp_path / "bucket"), PICTURES | foreign)
    output = io.BytesIO()
    done = export({IMAGES: store}, output)
    assert (done.left_out, sorted(done.named)) == (3, sorted(f"images/{key}" for key in foreign))
    target = FolderStore(tmp_path / "target")
    imported({IMAGES: target}, output.getvalue())
    assert content(target) == PICTURES


def test_what_health_tries_writes_with_is_nobodys(tmp_path) -> None:
    """An archive made at that moment neither has it nor says that it left something out."""
    stores = {name: FolderStore(tmp_path / name) for name in (IMAGES, MODELS)}
    stores[IMAGES].put(StoredObject(STORE_PROBE, b"x", "application/octet-stream"))
    done = export(stores, io.BytesIO())
    assert (done.left_out, done.counts[IMAGES]) == (0, Count(0, 0))


def test_what_vanishes_meanwhile_is_counted(full) -> None:
    """A picture that is deleted between listing and reading is left out, and the archive is good."""

    class Deleted:
        def __getattr__(self, name: str) -> object:
            return getattr(full[IMAGES], name)

        def keys(self, prefix: str) -> Iterator[str]:
            for key in full[IMAGES].keys(prefix):
                if key == "tagged/a.jpg":
                    full[IMAGES].delete(key)
                yield key

    output = io.BytesIO()
    done = export({IMAGES: Deleted()}, output)
    assert (done.vanished, done.left_out) == (1, 0)
    assert imported({}, output.getvalue()).counts[IMAGES].objects == len(PICTURES) - 1


def test_what_differs_is_replaced(full, tmp_path) -> None:
    """The archive wins over what is there under the same key; what else is there stays."""
    data = exported(full)
    target = fill(FolderStore(tmp_path / "target"), {"tagged/a.jpg": b"newer", "tagged/b.jpg": b"another"})
    imported({IMAGES: target}, data)
    assert content(target) == PICTURES | {"tagged/b.jpg": b"another"}


def test_an_old_copy_in_the_cache_hides_nothing(start_redis, full, tmp_path, monkeypatch) -> None:
    """Copies of before are gone from the cache, also of an object that the bucket has right already."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 60.0)  # else a slow answer is none, and no copy is kept
    monkeypatch.setattr(hot_cache, "CONNECT_SECONDS", 60.0)
    cache = HotCache(start_redis(*CACHE_OPTIONS).url, 3600, "images")
    data = exported(full)
    bare = FolderStore(tmp_path / "target")
    cached = CachedStore(bare, cache)
    fill(cached, {"tagged/a.jpg": b"old", "original/a.png": b"old", "grayscale/a.jpg": b"old"})
    bare.put(StoredObject("original/a.png", PICTURES["original/a.png"], "image/png"))
    bare.delete("grayscale/a.jpg")
    assert cached.get("original/a.png") == cached.get("grayscale/a.jpg") == b"old"
    imported({IMAGES: cached}, data)
    assert content(cached) == content(bare) == PICTURES


def test_a_store_that_goes_away_leaves_no_archive(full) -> None:
    """What was written until then cannot be imported."""

    class Away:
        def __getattr__(self, name: str) -> object:
            return getattr(full[IMAGES], name)

        def get(self, key: str, _at_most: int) -> bytes:
            if key.startswith("original/"):
                raise Unavailable("the store is away")
            return full[IMAGES].get(key)

    output = io.BytesIO()
    with pytest.raises(Unavailable):
        export({IMAGES: Away()}, output)
    with pytest.raises(BadArchive, match="cut off"):
        imported({}, output.getvalue())

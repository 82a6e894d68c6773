"""The buckets as a tar archive, out and in: whole, in little memory, and never what somebody slipped into it."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.running_line import KEPT
from stageline.embedded import CACHE_OPTIONS
from stageline.errors import Unavailable
from stageline.stage import StoredObject
from stageline.store import CachedStore, FolderStore, HotCache, ObjectStore, S3Store
from stageline.store.archive import IMAGES, LAST, MODELS, Count, export
from stageline.store.unarchive import BadArchive, restore
from tests.conftest import s3_settings

STAGELINE = [sys.executable, "-P", "-m", "stageline"]
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


def fill(store: ObjectStore, objects: dict[str, bytes]) -> ObjectStore:
    store.check()
    for key, data in objects.items():
        store.put(StoredObject(key, data, "application/octet-stream"))
    return store


def content(store: ObjectStore) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.keys("")}


def exported(stores: dict[str, ObjectStore]) -> bytes:
    output = io.BytesIO()
    export(stores, output)
    return output.getvalue()


def imported(stores: dict[str, ObjectStore], data: bytes):
    return restore(stores, io.BytesIO(data))


@pytest.fixture
def full(store: ObjectStore, tmp_path: Path) -> dict[str, ObjectStore]:
    """Both buckets, with something in each; the pictures in each kind of store."""
    return {IMAGES: fill(store, PICTURES), MODELS: fill(FolderStore(tmp_path / "from-models"), NETWORKS)}


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


def test_an_old_copy_in_the_cache_hides_nothing(start_redis, full, tmp_path) -> None:
    """Copies of before are gone from the cache, also of an object that the bucket has right already."""
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


def test_memory_does_not_grow_with_the_bucket(tmp_path) -> None:
    """Out and in, thousands of objects take no more of it than a few do."""

    def peak(number: int) -> int:
        folder = tmp_path / str(number)
        store = fill(FolderStore(folder / "a"), {f"results/{n:05}.json": bytes(20_000) for n in range(number)})
        with (folder / "x.tar").open("wb") as output:
            tracemalloc.start()
            export({IMAGES: store}, output)
        with (folder / "x.tar").open("rb") as source:
            restore({IMAGES: FolderStore(folder / "b")}, source)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(2000) < peak(400) + 4_000_000  # 32 MB more pass through; the folder's list of names grows a little


def test_a_cut_off_archive_is_no_archive(full, tmp_path) -> None:
    """Wherever it is cut off, even between two members, it is refused with a sentence that says so."""
    data = exported(full)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        offsets = [member.offset for member in archive]
    cuts = [*offsets[1:], *(offset + 300 for offset in offsets), *(offset + 513 for offset in offsets)]
    for cut in cuts:
        with pytest.raises(BadArchive, match="cut off"):
            imported({}, data[:cut])
    assert imported({}, data).counts[IMAGES].objects == len(PICTURES)


def member(name: str, data: bytes = b"x", **more: object) -> bytes:
    """An archive of one member, and a good end."""
    found = tarfile.TarInfo(name)
    found.size = len(data)
    for field, value in more.items():
        setattr(found, field, value)
    end = json.dumps({"format": 1, "images": {"objects": 1, "bytes": len(data)}}).encode()
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(found, io.BytesIO(data) if found.isreg() else None)
        last = tarfile.TarInfo(LAST)
        last.size = len(end)
        archive.addfile(last, io.BytesIO(end))
    return output.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "above": lambda: member("images/original/../../../secret"),
    "above, at once": lambda: member("../secret"),
    "the folder itself": lambda: member("images/original/."),
    "absolute": lambda: member("/images/original/a.jpg"),
    "absolute below": lambda: member("images//original/a.jpg"),
    "another bucket": lambda: member("theirs/original/a.jpg"),
    "another folder": lambda: member("images/secrets/a.jpg"),
    "no folder": lambda: member("images/a.jpg"),
    "a folder": lambda: member("images/original", b"", type=tarfile.DIRTYPE),
    "a link": lambda: member("images/original/a.jpg", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": lambda: member("images/original/a.jpg", b"", type=tarfile.LNKTYPE, linkname="images/original/b.jpg"),
    "a device": lambda: member("images/original/a.jpg", b"", type=tarfile.CHRTYPE),
    "of no known kind": lambda: member("images/original/a.jpg", type=b"Z"),
    "a line's end": lambda: member("images/original/a\n.jpg"),
    "a backslash": lambda: member("images/original/..\\a.jpg"),
    "a model above": lambda: member("models/../1/model.onnx"),
    "a model's folder": lambda: member("models/m/1/2/model.onnx"),
    "too large a header": lambda: member("images/original/" + "x" * 200_000),
    "too large": lambda: huge("images/original/a.jpg", 256 * 1024 * 1024 + 1),
    "too large a model": lambda: huge("models/m/1/model.onnx", 1024**3 + 1),
    "negative": lambda: member("images/original/a.jpg", pax_headers={"size": "-1"}),
    "sparse": lambda: member("images/original/a.jpg", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"}),
    "strangely sparse": lambda: member("images/original/a.jpg", pax_headers={"GNU.sparse.map": "x"}),
}


def huge(name: str, size: int) -> bytes:
    """The header alone of a member that says to be so large."""
    found = tarfile.TarInfo(name)
    found.size = size
    return found.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused(tmp_path, name: str) -> None:
    """Whatever is slipped in, a sentence names it, and nothing of it is written, in the bucket or beside."""
    stores = {bucket: FolderStore(tmp_path / "to" / bucket) for bucket in (IMAGES, MODELS)}
    with pytest.raises(BadArchive, match=r"refused|damaged|cut off"):
        imported(stores, HOSTILE[name]())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (b"[" * 60_000, "not what"),
        (b"{}", "not what"),
        (b'"x"', "not what"),
        (b'{"format": 2}', "newer"),
        (b'{"format": 1, "images": {"objects": 2, "bytes": 1}}', "not whole"),
        (b'{"format": 1, "images": 7}', "not whole"),
    ],
)
def test_an_end_that_does_not_fit_is_refused(end: bytes, words: str) -> None:
    """What the end counts must be what came; no end, however strange, is more than an error with a sentence."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, data in (("images/original/a.jpg", b"x"), (LAST, end)):
            found = tarfile.TarInfo(name)
            found.size = len(data)
            archive.addfile(found, io.BytesIO(data))
    with pytest.raises(BadArchive, match=words):
        imported({}, output.getvalue())


@pytest.mark.parametrize("data", [b"", b"no tar at all", b"\x1f\x8b" + b"x" * 2000, b"x" * 100_000, bytes(2048)])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    """Nothing, text, what is compressed, and an empty archive."""
    with pytest.raises(BadArchive):
        imported({}, data)


def test_nothing_comes_after_the_end() -> None:
    """A member behind the end is not read as if it belonged to it."""
    output = io.BytesIO(member("images/original/a.jpg"))
    with tarfile.open(fileobj=output, mode="a") as archive:
        archive.addfile(tarfile.TarInfo("images/original/b.jpg"))
    with pytest.raises(BadArchive, match="goes on"):
        imported({}, output.getvalue())


@pytest.fixture
def stageline(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run `stageline` on a folder as the bucket."""

    def run(*words: object, data: bytes = b"", where: str = "here", **environment: str) -> subprocess.CompletedProcess:
        kept = {name: value for name, value in os.environ.items() if name in KEPT}
        own = {"STAGELINE_DATA": str(tmp_path / where), **environment}
        return subprocess.run(
            [*STAGELINE, "bucket", *map(str, words)], env=kept | own, input=data, capture_output=True, timeout=120,
            check=False, cwd=tmp_path,
        )  # fmt: skip

    return run


def test_the_commands(stageline, tmp_path) -> None:
    """Out to a stream, in from a file, and the other way; counts on stderr; each bucket by itself."""
    fill(FolderStore(tmp_path / "here" / "images"), PICTURES | {"notes.txt": b"n"})
    fill(FolderStore(tmp_path / "here" / "models"), NETWORKS)
    assert json.loads(stageline("count", "--json").stdout) == {"images": len(PICTURES) + 1, "models": len(NETWORKS)}
    done = stageline("export")
    assert done.returncode == 0, done.stderr
    assert f"exported images: {len(PICTURES)} objects, " in done.stderr.decode()
    assert "1 are not the line's, or too large, and are not in it: images/notes.txt" in done.stderr.decode()
    (tmp_path / "x.tar").write_bytes(done.stdout)
    assert stageline("import", "x.tar", "--check", where="there").returncode == 0
    assert not (tmp_path / "there").exists()
    assert stageline("import", "x.tar", where="there").returncode == 0
    assert content(FolderStore(tmp_path / "there" / "images")) == PICTURES
    assert stageline("export", "y.tar", "--bucket", "models").returncode == 0
    assert not list(tmp_path.glob("*.partial"))
    assert stageline("import", data=(tmp_path / "y.tar").read_bytes(), where="third").returncode == 0
    assert content(FolderStore(tmp_path / "third" / "models")) == NETWORKS
    again = stageline("import", "x.tar", "--bucket", "images", where="there")
    assert f"{len(PICTURES)} of them were there already" in again.stderr.decode()


def test_what_goes_wrong_is_a_sentence(stageline, tmp_path, minio_server) -> None:
    """A damaged archive, a file that is not there, a folder that cannot be written to, a store that is away."""
    (tmp_path / "bad.tar").write_bytes(b"no")
    away = {"MINIO_ENDPOINT": "127.0.0.1:1", "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}
    cases = [
        (("import", "bad.tar"), {}, 1, "no tar archive"),
        (("import", "none.tar"), {}, 1, "none.tar cannot be read"),
        (("export", "no/such/folder.tar"), {}, 1, "cannot be written"),
        (("export", "x.tar"), away, 3, "MINIO_ENDPOINT"),
        (("import", "bad.tar"), away, 3, "MINIO_ENDPOINT"),
        (("count",), away, 3, "MINIO_ENDPOINT"),
    ]
    for words, environment, status, said in cases:
        done = stageline(*words, **environment)
        assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr
        assert b"Traceback" not in done.stderr
    assert not list(tmp_path.glob("x.tar*"))


def test_a_bucket_that_was_never_made(stageline, start_minio) -> None:
    """It counts as empty; models may lie elsewhere, but a backup without the pictures' bucket is an error."""
    server = start_minio()
    told = {"MINIO_ENDPOINT": server.endpoint, "MINIO_ACCESS_KEY": server.access_key}
    told["MINIO_SECRET_KEY"] = server.secret_key
    assert json.loads(stageline("count", "--json", **told).stdout) == {"images": 0, "models": 0}
    done = stageline("export", "x.tar", **told)
    assert (done.returncode, b"NoSuchBucket" in done.stderr) == (3, True)
    S3Store.from_settings(s3_settings(server, "images")).check()
    done = stageline("export", "x.tar", **told)
    assert (done.returncode, b"not one picture" in done.stderr) == (0, True)


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


def test_a_reader_that_goes_away_is_a_sentence(stageline, tmp_path) -> None:
    """`bucket export | head` ends with a sentence and no traceback."""
    fill(FolderStore(tmp_path / "here" / "images"), PICTURES)
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    with subprocess.Popen(
        [*STAGELINE, "bucket", "export"], env=kept | {"STAGELINE_DATA": str(tmp_path / "here")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    ) as process:  # fmt: skip
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert "went away: it is not whole" in said
    assert "Traceback" not in said
    assert "Exception" not in said

"""`stageline bucket export` and `import`, by the real rclone: whole, the same in every kind of store, held to sums."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from stageline import settings
from stageline.cli.bucket import refresh
from stageline.embedded import CACHE_OPTIONS
from stageline.errors import Unavailable
from stageline.settings import Settings
from stageline.store import CachedStore, FolderStore, HotCache, ObjectStore, S3Store, hot_cache, rclone
from stageline.store.base import STORE_PROBE
from stageline.store.folder import TEMPORARY
from tests.bucket_makers import NETWORKS, PICTURES, bucket, content, fill, need_rclone
from tests.conftest import s3_settings

Buckets = dict[str, ObjectStore]


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_rclone()


class Place:
    """Two buckets, in folders or in MinIO, and what tells the command line of them."""

    def __init__(self, kind: str, name: str, request, tmp_path: Path) -> None:
        if kind == "folder":
            self.told = {"STAGELINE_DATA": str(tmp_path / name)}
            self.stores: Buckets = {each: FolderStore(tmp_path / name / each) for each in ("images", "models")}
            return
        server = request.getfixturevalue("minio_server")
        end = hashlib.sha256(f"{tmp_path}/{name}".encode()).hexdigest()[:20]
        self.told = {
            "MINIO_ENDPOINT": server.endpoint, "MINIO_ACCESS_KEY": server.access_key,
            "MINIO_SECRET_KEY": server.secret_key, "S3_BUCKET": f"images-{end}", "MODELS_BUCKET": f"models-{end}",
        }  # fmt: skip
        self.stores = {
            each: S3Store.from_settings(s3_settings(server, f"{each}-{end}")) for each in ("images", "models")
        }

    def types(self, name: str) -> dict[str, str]:
        """The media type of each object of a bucket of MinIO."""
        store = self.stores[name]
        assert isinstance(store, S3Store)
        return {key: store._client.stat_object(store._bucket, key).content_type for key in store.keys("")}


@pytest.fixture(params=["folder", "minio"])
def full(request, tmp_path: Path) -> Place:
    """Both buckets, with something in each."""
    place = Place(request.param, "from", request, tmp_path)
    fill(place.stores["images"], PICTURES)
    fill(place.stores["models"], NETWORKS)
    return place


@pytest.fixture(params=["folder", "minio"])
def empty(request, tmp_path: Path) -> Place:
    """Both buckets, not made yet."""
    return Place(request.param, "to", request, tmp_path)


@pytest.fixture
def exported(request, tmp_path: Path) -> Path:
    """A folder that an export of MinIO's buckets made."""
    place = Place("minio", "exported", request, tmp_path)
    fill(place.stores["images"], PICTURES)
    fill(place.stores["models"], NETWORKS)
    done = bucket(tmp_path, "export", "x", **place.told)
    assert done.returncode == 0, done.stderr
    return tmp_path / "x"


def test_what_went_out_comes_in_again(full: Place, empty: Place, tmp_path: Path) -> None:
    """Every object, byte for byte, from each kind of store into each; a second time changes nothing."""
    done = bucket(tmp_path, "export", "x", **full.told)
    assert done.returncode == 0, done.stderr
    assert f"exported images: {len(PICTURES)} objects, {sum(map(len, PICTURES.values()))} bytes" in done.stderr
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "x").rglob("*")} == {0}, "people's pictures"
    for _ in range(2):
        done = bucket(tmp_path, "import", "x", **empty.told)
        assert done.returncode == 0, done.stderr
        assert {name: content(store) for name, store in empty.stores.items()} == {
            "images": PICTURES,
            "models": NETWORKS,
        }


def test_each_bucket_by_itself(full: Place, tmp_path: Path, request) -> None:
    """`--bucket` leaves the other alone, out and in."""
    assert bucket(tmp_path, "export", "m", "--bucket", "models", **full.told).returncode == 0
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["SHA256SUMS", "models"]
    assert bucket(tmp_path, "export", "x", **full.told).returncode == 0
    target = Place("folder", "third", request, tmp_path)
    assert bucket(tmp_path, "import", "x", "--bucket", "images", **target.told).returncode == 0
    assert content(target.stores["images"]) == PICTURES
    assert not (tmp_path / "third" / "models").exists()


def test_what_differs_is_replaced_and_what_is_besides_stays(exported: Path, empty: Place, tmp_path: Path) -> None:
    """The export wins over what is there under the same key, of the same size too, and also in many parts."""
    name, data = "original/a.png", PICTURES["original/a.png"]
    newer = {"tagged/a.jpg": b"newer", "tagged/b.jpg": b"another", name: bytes(len(data))}
    fill(empty.stores["images"], newer)
    done = bucket(tmp_path, "import", exported, **empty.told)
    assert done.returncode == 0, done.stderr
    assert content(empty.stores["images"]) == PICTURES | {"tagged/b.jpg": b"another"}


def harm_a_byte(folder: Path) -> None:
    path = folder / "images" / "grayscale" / "a.jpg"
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)


HARMS = {
    "another byte": (harm_a_byte, "grayscale/a.jpg"),
    "an object is missing": (lambda folder: (folder / "models" / "mtcnn" / "current").unlink(), "mtcnn/current"),
    "an object is cut off": (lambda folder: os.truncate(folder / "images" / "original" / "a.png", 100), "a.png"),
    "one that came later": (lambda folder: (folder / "images" / "tagged" / "b.jpg").write_bytes(b"x"), "tagged/b.jpg"),
    "no sums": (lambda folder: (folder / "SHA256SUMS").unlink(), "has no SHA256SUMS"),
}


@pytest.mark.parametrize("name", HARMS)
def test_a_damaged_folder_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    """Whatever is other than the export left it is named, and nothing is written; so says --check."""
    harm, said = HARMS[name]
    assert bucket(tmp_path, "import", "--check", exported).returncode == 0
    harm(exported)
    for words in (["--check"], []):
        done = bucket(tmp_path, "import", *words, exported)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
        assert "nothing was changed" in done.stderr
    assert [path for path in (tmp_path / "here").rglob("*") if path.is_file()] == []


def test_the_types_are_those_of_the_line(request, tmp_path: Path) -> None:
    """Objects come back with the media type that the line gives them, wherever rclone knows which types."""
    types = {
        "original/a.jpg": "image/jpeg", "original/a.png": "image/png", "original/a.webp": "image/webp",
        "original/a.gif": "image/gif", "original/a.bmp": "image/bmp", "tagged/a.jpg": "image/jpeg",
        "results/a.json": "application/json", "findings/a.json": "application/json",
    }  # fmt: skip
    of_models = {"m/1/model.onnx": "application/octet-stream", "m/1/model.json": "application/json"}
    of_models["m/current"] = "application/json"
    fill(FolderStore(tmp_path / "here" / "images"), dict.fromkeys(types, b"x"))
    fill(FolderStore(tmp_path / "here" / "models"), dict.fromkeys(of_models, b"x"))
    assert bucket(tmp_path, "export", "x").returncode == 0
    place = Place("minio", "typed", request, tmp_path)
    done = bucket(tmp_path, "import", "x", **place.told)
    assert done.returncode == 0, done.stderr
    assert place.types("images") == types
    assert place.types("models") == of_models


def test_what_is_nobodys_is_left_out(tmp_path: Path) -> None:
    """Neither what health tries writes with, nor what is just being written to a folder; all else is in it."""
    store = fill(FolderStore(tmp_path / "here" / "images"), PICTURES | {STORE_PROBE: b"x", "notes.txt": b"n"})
    (tmp_path / "here" / "images" / "original" / f"{TEMPORARY}abc").write_bytes(b"half")
    assert bucket(tmp_path, "export", "x").returncode == 0
    store.delete(STORE_PROBE)
    assert content(FolderStore(tmp_path / "x" / "images")) == PICTURES | {"notes.txt": b"n"}


def test_results_are_read_first_and_written_last() -> None:
    """So a picture that has results has the rest in a copy, and what `current` names is there before it."""
    found = Settings(minio_endpoint="s3:9000", minio_access_key="a", minio_secret_key="b")
    out, back = (rclone.script(found, doing, ["images", "models"]) for doing in ("export", "import"))
    for step, rest in (("'+ /results/**'", "stageline:images"), ("'+ /*/current'", "stageline:models")):
        for text, place in ((out, 0), (back, -1)):
            copies = [line for line in text.splitlines() if "rclone copy" in line and rest in line]
            assert [step in line for line in copies].index(True) == place % len(copies)


def test_the_keys_are_on_no_command_line(tmp_path: Path) -> None:
    """They are variables of the script, which goes to standard input; and quoted, whatever is in them."""
    keys = {"MINIO_ACCESS_KEY": "acc'ess", "MINIO_SECRET_KEY": "se$(touch x)'cret"}
    done = bucket(tmp_path, "script", "export", MINIO_ENDPOINT="https://s3.example:9000", **keys)
    assert done.returncode == 0, done.stderr
    kept, body = done.stdout.split("main() {")
    assert "cret" not in body
    shown = subprocess.run(
        ["sh"], input=f"{kept}env", capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    ).stdout.splitlines()
    prefix = "RCLONE_CONFIG_STAGELINE_"
    assert f"{prefix}ACCESS_KEY_ID={keys['MINIO_ACCESS_KEY']}" in shown
    assert f"{prefix}SECRET_ACCESS_KEY={keys['MINIO_SECRET_KEY']}" in shown
    assert {f"{prefix}ENDPOINT=https://s3.example:9000", f"{prefix}ENV_AUTH=false"} < set(shown)
    assert not (tmp_path / "x").exists()


def test_an_import_lets_go_of_old_copies_in_the_cache(start_redis, exported: Path, tmp_path: Path, monkeypatch) -> None:
    """What the cache had of before hides nothing that was restored."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 60.0)  # else a slow answer is none, and no copy is kept
    monkeypatch.setattr(hot_cache, "CONNECT_SECONDS", 60.0)
    url = start_redis(*CACHE_OPTIONS).url
    bare = FolderStore(tmp_path / "here" / "images")
    cached = CachedStore(bare, HotCache(url, 3600, "images"))
    fill(cached, {"tagged/a.jpg": b"old", "original/a.png": b"old"})
    done = bucket(tmp_path, "import", exported)
    assert done.returncode == 0, done.stderr
    assert cached.get("tagged/a.jpg") == b"old", "as rclone knows of no cache"
    monkeypatch.setenv("STAGELINE_DATA", str(tmp_path / "here"))
    monkeypatch.setenv("CACHE_URL", url)
    settings.load.cache_clear()
    refresh()  # as import does at its end; here with the patience from above
    assert content(cached) == content(bare) == PICTURES


def test_a_cache_that_is_away_is_said(start_redis, tmp_path: Path) -> None:
    """Its copies may be old for a while: the one who asked to let go of them is told."""
    server = start_redis(*CACHE_OPTIONS)
    cached = CachedStore(FolderStore(tmp_path), HotCache(server.url, 3600, "images"))
    server.kill()
    with pytest.raises(Unavailable, match="CACHE_TTL"):
        cached.drop_copies()

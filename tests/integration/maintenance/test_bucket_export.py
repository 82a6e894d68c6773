"""`stageline bucket export` and `import`, by the real rclone: whole, the same in every kind of store, held to sums."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from stageline.cli.bucket import refresh
from stageline.core import settings
from stageline.core.errors import StagelineError, Unavailable
from stageline.core.settings import Settings
from stageline.local.embedded import CACHE_OPTIONS
from stageline.store import (
    CachedStore,
    FolderStore,
    HotCache,
    ObjectStore,
    S3Store,
    hot_cache,
    open_models_store,
    open_store,
    rclone,
)
from stageline.store.base import STORE_PROBE
from stageline.store.folder import TEMPORARY
from tests.support.bucket_makers import NETWORKS, PICTURES, content, fill, need_rclone
from tests.support.serving import s3_settings

Buckets = dict[str, ObjectStore]
BOTH = ("images", "models")


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_rclone()


class Place:
    """Two buckets, in folders or in MinIO, not made yet."""

    def __init__(self, kind: str, name: str, request, tmp_path: Path) -> None:
        end = hashlib.sha256(f"{tmp_path}/{name}".encode()).hexdigest()[:20]
        if kind == "folder":
            self.settings = Settings(stageline_data=tmp_path / name)
        else:
            server = request.getfixturevalue("minio_server")
            self.settings = s3_settings(server, f"images-{end}", models_bucket=f"models-{end}")
        self.stores: Buckets = {"images": open_store(self.settings), "models": open_models_store(self.settings)}

    def export(self, folder: Path, *buckets: str) -> None:
        """Export both buckets, or some."""
        rclone.run(rclone.script(self.settings, rclone.Doing.EXPORT, buckets or BOTH), folder)

    def restore(self, folder: Path, *buckets: str, doing: rclone.Doing = rclone.Doing.IMPORT) -> None:
        """Import both buckets, or some; folders are made, as the command does."""
        for name in buckets or BOTH:
            if isinstance(self.stores[name], FolderStore):
                self.stores[name].check()
        rclone.run(rclone.script(self.settings, doing, buckets or BOTH), folder)

    def fill(self) -> "Place":
        """Put something into each."""
        fill(self.stores["images"], PICTURES)
        fill(self.stores["models"], NETWORKS)
        return self

    def types(self, name: str) -> dict[str, str]:
        """The media type of each object of a bucket of MinIO."""
        store = self.stores[name]
        assert isinstance(store, S3Store)
        return {key: store._client.stat_object(store._bucket, key).content_type for key in store.keys("")}


@pytest.fixture(params=["folder", "minio"])
def full(request, tmp_path: Path) -> Place:
    """Both buckets, with something in each."""
    return Place(request.param, "from", request, tmp_path).fill()


@pytest.fixture(params=["folder", "minio"])
def empty(request, tmp_path: Path) -> Place:
    """Both buckets, not made yet."""
    return Place(request.param, "to", request, tmp_path)


@pytest.fixture
def exported(request, tmp_path: Path) -> Path:
    """A folder that an export of MinIO's buckets made."""
    Place("minio", "exported", request, tmp_path).fill().export(tmp_path / "x")
    return tmp_path / "x"


def test_what_went_out_comes_in_again(full: Place, empty: Place, tmp_path: Path) -> None:
    """Every object, byte for byte, from each kind of store into each; a second time changes nothing."""
    full.export(tmp_path / "x")
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "x").rglob("*")} == {0}, "people's pictures"
    for _ in range(2):
        empty.restore(tmp_path / "x")
        assert content(empty.stores["images"]) == PICTURES
        assert content(empty.stores["models"]) == NETWORKS


def test_each_bucket_by_itself(full: Place, tmp_path: Path, request) -> None:
    """The other is left alone, out and in."""
    full.export(tmp_path / "m", "models")
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["SHA256SUMS", "models"]
    full.export(tmp_path / "x")
    target = Place("folder", "third", request, tmp_path)
    target.restore(tmp_path / "x", "images")
    assert content(target.stores["images"]) == PICTURES
    assert not (tmp_path / "third" / "models").exists()


def test_what_differs_is_replaced_and_what_is_besides_stays(exported: Path, empty: Place) -> None:
    """The export wins over what is there under the same key, of the same size too, and also in many parts."""
    name, data = "original/a.png", PICTURES["original/a.png"]
    newer = {"tagged/a.jpg": b"newer", "tagged/b.jpg": b"another", name: bytes(len(data))}
    fill(empty.stores["images"], newer)
    empty.restore(exported)
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
def test_a_damaged_folder_is_refused(exported: Path, empty: Place, capfd, name: str) -> None:
    """Whatever is other than the export left it is named, and nothing is written; so says a check."""
    harm, said = HARMS[name]
    empty.restore(exported, doing=rclone.Doing.CHECK)
    harm(exported)
    for doing in (rclone.Doing.CHECK, rclone.Doing.IMPORT):
        with pytest.raises(StagelineError, match="nothing was changed"):
            empty.restore(exported, doing=doing)
        assert said in capfd.readouterr().err
    for store in empty.stores.values():
        store.check()
        assert content(store) == {}


def test_the_types_are_those_of_the_line(request, tmp_path: Path) -> None:
    """Objects come back with the media type that the line gives them, wherever rclone knows which types."""
    types = {
        "original/a.jpg": "image/jpeg", "original/a.png": "image/png", "original/a.webp": "image/webp",
        "original/a.gif": "image/gif", "original/a.bmp": "image/bmp", "tagged/a.jpg": "image/jpeg",
        "results/a.json": "application/json", "findings/a.json": "application/json",
    }  # fmt: skip
    of_models = {"m/1/model.onnx": "application/octet-stream", "m/1/model.json": "application/json"}
    of_models["m/current"] = "application/json"
    source = Place("folder", "typed", request, tmp_path)
    fill(source.stores["images"], dict.fromkeys(types, b"x"))
    fill(source.stores["models"], dict.fromkeys(of_models, b"x"))
    source.export(tmp_path / "x")
    place = Place("minio", "typed", request, tmp_path)
    place.restore(tmp_path / "x")
    assert place.types("images") == types
    assert place.types("models") == of_models


def test_what_is_nobodys_is_left_out(full: Place, tmp_path: Path) -> None:
    """Neither what health tries writes with, nor what is just being written to a folder; all else is in it."""
    store = fill(full.stores["images"], {STORE_PROBE: b"x", "notes.txt": b"n"})
    if isinstance(store, FolderStore):
        (tmp_path / "from" / "images" / "original" / f"{TEMPORARY}abc").write_bytes(b"half")
    full.export(tmp_path / "x", "images")
    found = {path.relative_to(tmp_path / "x").as_posix() for path in (tmp_path / "x").rglob("*") if path.is_file()}
    assert found == {"SHA256SUMS", *(f"images/{key}" for key in (*PICTURES, "notes.txt"))}


def test_results_are_read_first_and_written_last() -> None:
    """So a picture that has results has the rest in a copy, and what `current` names is there before it."""
    found = Settings(minio_endpoint="s3:9000", minio_access_key="a", minio_secret_key="b")
    out, back = (rclone.script(found, doing, BOTH) for doing in (rclone.Doing.EXPORT, rclone.Doing.IMPORT))
    for step, rest in (("'+ /results/**'", "stageline:images"), ("'+ /*/current'", "stageline:models")):
        for text, place in ((out, 0), (back, -1)):
            copies = [line for line in text.splitlines() if "rclone copy" in line and rest in line]
            assert [step in line for line in copies].index(True) == place % len(copies)


def test_the_keys_are_on_no_command_line(tmp_path: Path) -> None:
    """They are variables of the script, which goes to standard input; and quoted, whatever is in them."""
    keys = {"minio_access_key": "acc'ess", "minio_secret_key": "se$(touch x)'cret"}
    found = Settings(minio_endpoint="https://s3.example:9000", **keys)
    kept, body = rclone.script(found, rclone.Doing.EXPORT, BOTH).split("main() {")
    assert "cret" not in body
    shown = subprocess.run(
        ["sh"], input=f"{kept}env", capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    ).stdout.splitlines()
    prefix = "RCLONE_CONFIG_STAGELINE_"
    assert f"{prefix}ACCESS_KEY_ID={keys['minio_access_key']}" in shown
    assert f"{prefix}SECRET_ACCESS_KEY={keys['minio_secret_key']}" in shown
    assert {f"{prefix}ENDPOINT=https://s3.example:9000", f"{prefix}ENV_AUTH=false"} < set(shown)
    assert not (tmp_path / "x").exists()


def test_an_import_lets_go_of_old_copies(request, start_redis, exported: Path, tmp_path: Path, monkeypatch) -> None:
    """What the cache had of before hides nothing that was restored."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 60.0)  # else a slow answer is none, and no copy is kept
    monkeypatch.setattr(hot_cache, "CONNECT_SECONDS", 60.0)
    url = start_redis(*CACHE_OPTIONS).url
    place = Place("folder", "here", request, tmp_path)
    bare = place.stores["images"]
    cached = CachedStore(bare, HotCache(url, 3600, "images"))
    fill(cached, {"tagged/a.jpg": b"old", "original/a.png": b"old"})
    place.restore(exported)
    assert cached.get("tagged/a.jpg") == b"old", "as rclone knows of no cache"
    monkeypatch.setenv("STAGELINE_DATA", str(tmp_path / "here"))
    monkeypatch.setenv("CACHE_URL", url)
    settings.load.cache_clear()
    refresh()  # as import does at its end; here with the timeout from above
    assert content(cached) == content(bare) == PICTURES


def test_a_cache_that_is_away_is_said(start_redis, tmp_path: Path) -> None:
    """Its copies may be old for a while: the caller that asked to drop them gets the error."""
    server = start_redis(*CACHE_OPTIONS)
    cached = CachedStore(FolderStore(tmp_path), HotCache(server.url, 3600, "images"))
    server.kill()
    with pytest.raises(Unavailable, match="CACHE_TTL"):
        cached.drop_copies()

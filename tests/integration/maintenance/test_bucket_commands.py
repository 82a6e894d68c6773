"""`stageline bucket`: what it says, what it leaves behind, and how it ends, when something is wrong."""

import json
from pathlib import Path

import pytest

from stageline.store import FolderStore, S3Store
from tests.support.bucket_makers import NETWORKS, PICTURES, bucket, content, fill, need_rclone
from tests.support.serving import s3_settings

AWAY = {"MINIO_ENDPOINT": "127.0.0.1:1", "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_rclone()


def test_the_commands(tmp_path: Path) -> None:
    """Out into a folder, in from it, and what is in a bucket, for people and for scripts."""
    fill(FolderStore(tmp_path / "here" / "images"), PICTURES)
    fill(FolderStore(tmp_path / "here" / "models"), NETWORKS)
    done = bucket(tmp_path, "export", "x")
    assert done.returncode == 0, done.stderr
    assert f"exported images: {len(PICTURES)} objects, {sum(map(len, PICTURES.values()))} bytes" in done.stderr
    there = {"STAGELINE_DATA": str(tmp_path / "there")}
    done = bucket(tmp_path, "import", "--check", "x", **there)
    assert (done.returncode, "the folder is whole" in done.stderr) == (0, True), done.stderr
    assert not (tmp_path / "there").exists()
    done = bucket(tmp_path, "import", "x", "--bucket", "models", **there)
    assert (done.returncode, done.stderr.split()[:2]) == (0, ["imported", "models:"]), done.stderr
    assert json.loads(bucket(tmp_path, "count", "--json", **there).stdout) == {"images": 0, "models": len(NETWORKS)}
    assert f"images: {len(PICTURES)} objects" in bucket(tmp_path, "count").stdout


@pytest.mark.parametrize(
    ("words", "own", "status", "said"),
    [
        (("import", "none"), {}, 1, "has no SHA256SUMS"),
        (("import", "old.tar"), {}, 1, "scripts/unpack-archive.sh"),
        (("export", "old.tar"), {}, 1, "is there already"),
        (("export", "left"), {}, 1, "was left by an export that was cut off"),
        (("export", "/proc/no/such"), {}, 1, "cannot be written"),
        (("export", "x"), AWAY, 3, "MINIO_ENDPOINT"),
        (("import", "none"), AWAY, 3, "MINIO_ENDPOINT"),
        (("count",), AWAY, 3, "MINIO_ENDPOINT"),
        (("export", "x"), {"PATH": "/nowhere"}, 1, "rclone is not on the PATH"),
        (("script", "moon"), {}, 2, "moon"),
    ],
)
def test_what_goes_wrong_is_a_sentence(
    tmp_path: Path, words: tuple[str, ...], own: dict, status: int, said: str
) -> None:
    """A folder that is none, or is there; a store that is away; no rclone: which one, and nothing is left behind."""
    (tmp_path / "old.tar").write_bytes(b"an archive")
    (tmp_path / "left.partial").mkdir()
    done = bucket(tmp_path, *words, **own)
    assert (done.returncode, said in " ".join(done.stderr.split())) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"old.tar", "left.partial", "here"}


def test_a_bucket_that_was_never_made(start_minio, tmp_path: Path) -> None:
    """It counts as empty; models may lie elsewhere, but a backup without the pictures' bucket is an error."""
    server = start_minio()
    credentials = {"MINIO_ENDPOINT": server.endpoint, "MINIO_ACCESS_KEY": server.access_key}
    credentials["MINIO_SECRET_KEY"] = server.secret_key
    assert json.loads(bucket(tmp_path, "count", "--json", **credentials).stdout) == {"images": 0, "models": 0}
    done = bucket(tmp_path, "export", "x", **credentials)
    assert (done.returncode, "the bucket of pictures is not there" in done.stderr) == (3, True)
    S3Store.from_settings(s3_settings(server, "images")).check()
    done = bucket(tmp_path, "export", "x", **credentials)
    assert (done.returncode, "not one picture" in done.stderr) == (0, True), done.stderr


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Where rclone cannot read an object, no folder looks like an export."""
    store = fill(FolderStore(tmp_path / "here" / "images"), PICTURES)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rclone").write_text('#!/bin/sh\nmkdir -p "$PWD/x.partial/images"\necho gone >&2\nexit 4\n')
    (tmp_path / "bin" / "rclone").chmod(0o755)
    done = bucket(tmp_path, "export", "x", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert (done.returncode, "did not copy everything" in done.stderr) == (3, True), done.stderr
    assert not list(tmp_path.glob("x*"))
    assert content(store) == PICTURES

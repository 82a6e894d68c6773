"""`stageline bucket`: what it says, what it writes, and how it ends."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stageline.store import FolderStore, S3Store
from tests.support import commands
from tests.support.archive_makers import NETWORKS, PICTURES, content, fill
from tests.support.serving import s3_settings


@pytest.fixture
def stageline(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run `stageline` on a folder as the bucket."""

    def run(*words: object, data: bytes = b"", where: str = "here", **more: str) -> subprocess.CompletedProcess:
        own = commands.environment(**{"STAGELINE_DATA": str(tmp_path / where), **more})
        return subprocess.run(
            [*commands.STAGELINE, "bucket", *map(str, words)], env=own, input=data, capture_output=True, timeout=120,
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


def test_a_reader_that_goes_away_is_a_sentence(stageline, tmp_path) -> None:
    """`bucket export | head` ends with a sentence and no traceback."""
    fill(FolderStore(tmp_path / "here" / "images"), PICTURES)
    with subprocess.Popen(
        [*commands.STAGELINE, "bucket", "export"], env=commands.environment(STAGELINE_DATA=str(tmp_path / "here")),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
    ) as process:  # fmt: skip
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 1
    assert "went away: it is not whole" in said
    assert "Traceback" not in said
    assert "Exception" not in said

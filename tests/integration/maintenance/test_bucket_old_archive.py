"""Archives that Stageline 0.1.0 exported: scripts/unpack-archive.sh makes folders of them, which go in."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stageline.store import S3Store, rclone
from tests.support.backup_place import script
from tests.support.bucket_makers import NETWORKS, PICTURES, content, need_rclone, old_archive, sized
from tests.support.places import missing
from tests.support.serving import s3_settings

BOTH = ("images", "models")
MEMBERS = {f"images/{key}": data for key, data in PICTURES.items()} | {
    f"models/{key}": data for key, data in NETWORKS.items()
}


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_rclone()
    if shutil.which("tar") is None:
        missing("no tar on the PATH")


def test_an_old_archive_goes_in(minio_server, tmp_path: Path) -> None:
    """Byte for byte, and with the types that the line gives."""
    (tmp_path / "old.tar").write_bytes(old_archive(MEMBERS))
    done = script("unpack-archive.sh", tmp_path / "old.tar", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    found = s3_settings(minio_server, "images-of-old", models_bucket="models-of-old")
    rclone.run(rclone.script(found, rclone.Doing.IMPORT, BOTH), tmp_path / "x")
    images, models = (S3Store.from_settings(s3_settings(minio_server, f"{each}-of-old")) for each in BOTH)
    assert content(images) == PICTURES
    assert content(models) == NETWORKS
    stat = images._client.stat_object
    assert stat("images-of-old", "original/a.png").content_type == "image/png"
    assert stat("models-of-old", "mtcnn/current").content_type == "application/json"


@pytest.mark.parametrize("name", ["images", "models"])
def test_an_old_archive_of_one_bucket_goes_in(tmp_path: Path, name: str) -> None:
    """The other is not in what it counts, and not in the folder."""
    of_one = {key: data for key, data in MEMBERS.items() if key.startswith(name)}
    (tmp_path / "old.tar").write_bytes(old_archive(of_one))
    done = script("unpack-archive.sh", tmp_path / "old.tar", tmp_path / "x")
    assert done.returncode == 0, done.stderr
    files = {path.relative_to(tmp_path / "x").as_posix() for path in (tmp_path / "x").rglob("*") if path.is_file()}
    assert files == {*of_one, "SHA256SUMS"}


def special(**fields: object) -> bytes:
    """An archive with a member that is no plain file, and a good end."""
    found = sized("images/original/a.jpg", 0)
    for field, value in fields.items():
        setattr(found, field, value)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        archive.addfile(found)
        end = b'{"format": 1, "images": {"objects": 1, "bytes": 0}}'
        archive.addfile(sized("stageline.json", len(end)), io.BytesIO(end))
    return output.getvalue()


def cut_between_members() -> bytes:
    """All but the last member."""
    whole = old_archive(MEMBERS)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        return whole[: archive.getmember("stageline.json").offset]


ONE = {"images/original/a.jpg": b"x"}
HARMS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "is damaged or cut off"),
    "text": (lambda: b"no tar at all" * 100, "is damaged or cut off, or is no tar archive"),
    "cut off in a member": (lambda: old_archive(MEMBERS)[:3_000_000], "is damaged or cut off"),
    "cut off between members": (cut_between_members, "its end, stageline.json, is missing"),
    "an object more": (lambda: old_archive(ONE, images={"objects": 2, "bytes": 1}), "is not whole"),
    "a byte more": (lambda: old_archive(ONE, images={"objects": 1, "bytes": 2}), "is not whole"),
    "none of what it counts": (lambda: old_archive({}, models={"objects": 1, "bytes": 2}), "is not whole"),
    "uncounted": (lambda: old_archive(ONE, images=None), "is not whole"),
    "another place": (lambda: old_archive(ONE | {"elsewhere/a": b"x"}), "elsewhere/a"),
    "above": (lambda: old_archive(ONE | {"../above": b"x"}), "is damaged"),
    "a link": (lambda: special(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "images/original/a.jpg"),
    "a pipe": (lambda: special(type=tarfile.FIFOTYPE), "images/original/a.jpg"),
}


@pytest.mark.parametrize("name", HARMS)
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, name: str) -> None:
    """Wherever it was cut off, and whatever was slipped in, a sentence says so, and no folder is left."""
    make, said = HARMS[name]
    (tmp_path / "old.tar").write_bytes(make())
    (tmp_path / "in").mkdir()
    done = script("unpack-archive.sh", tmp_path / "old.tar", tmp_path / "in" / "x")
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "old.tar"]


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """A folder that is there stays as it is; an archive that is not there is named."""
    (tmp_path / "old.tar").write_bytes(old_archive(ONE))
    (tmp_path / "x").mkdir()
    done = script("unpack-archive.sh", tmp_path / "old.tar", tmp_path / "x")
    assert (done.returncode, "is there already" in done.stderr) == (2, True)
    done = script("unpack-archive.sh", tmp_path / "none.tar", tmp_path / "y")
    assert (done.returncode, "there is no file" in done.stderr) == (2, True)

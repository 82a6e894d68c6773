"""scripts/backup.sh and restore.sh where something is missing, damaged or refused: they say so, and change nothing."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from stageline.catalogue.migrate import migrate
from stageline.store.base import StoredObject
from tests.support.backup_place import Place, script
from tests.support.catalogue_makers import dump

pytest_plugins = ["tests.support.backup_fixtures"]


def test_a_damaged_backup_is_refused(kept: Path, new_place: Place) -> None:
    """One byte that is another, or a file that is missing or came later: a sentence names it, and nothing changes."""
    picture = kept / "buckets" / "images" / "original" / "a.jpg"

    def flip() -> None:
        picture.write_bytes(b"a pictur!")

    def cut() -> None:
        picture.write_bytes(b"a pic")

    def lose() -> None:
        picture.unlink()

    def lose_sums() -> None:
        picture.write_bytes(b"a picture")
        (kept / "buckets" / "SHA256SUMS").rename(kept / "sums")

    def exchange() -> None:
        (kept / "sums").rename(kept / "buckets" / "SHA256SUMS")
        sums = (kept / "SHA256SUMS").read_text().splitlines(keepends=True)
        (kept / "SHA256SUMS").write_text("".join(row for row in sums if "catalogue.dump" not in row))

    for harm, said in (
        (flip, "original/a.jpg"),
        (cut, "original/a.jpg"),
        (lose, "original/a.jpg"),
        (lose_sums, "buckets/SHA256SUMS"),
        (exchange, "catalogue.dump"),
    ):
        harm()
        done = script("restore.sh", "--yes", kept, at=new_place)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "nothing was changed" in done.stderr
    assert new_place.objects() == {}
    assert script("restore.sh", "--yes", kept.parent, at=new_place).returncode == 2


def test_a_dump_that_cannot_be_restored_changes_no_row(kept: Path, new_place: Place) -> None:
    """A database that refuses the dump is as it was, and the script says so; another try completes it."""
    migrate(new_place.engine)
    with new_place.engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW in_the_way AS SELECT image_key FROM image_info")
    done = script("restore.sh", "--yes", kept, at=new_place)
    assert done.returncode == 1
    assert "the database is as it was" in done.stderr
    assert "image_info" in dump(new_place.engine)
    with new_place.engine.begin() as connection:
        connection.exec_driver_sql("DROP VIEW in_the_way")
    assert script("restore.sh", "--yes", kept, at=new_place).returncode == 0


PROGRAMS = ("bash", "env", "rclone", "date", "dirname", "basename", "sed", "grep", "sha256sum", "printenv", "head")
NOWHERE = "postgresql://nobody:se%63ret@127.0.0.1:1/none"
NO_COMPOSE = {"COMPOSE": "no-such-program"}
MISSING: dict[str, tuple[list[str], dict[str, str], str]] = {
    "the store": ([], {"MINIO_ENDPOINT": "127.0.0.1:1"}, "the buckets cannot be read"),
    "the keys": ([], {"MINIO_SECRET_KEY": "not-the-secret"}, "the buckets cannot be read"),
    "the database": ([], {"DATABASE_URL": NOWHERE}, "PostgreSQL does not answer"),
    "pg_dump": ([], {"PATH": "few"}, "pg_dump is not on the PATH"),
    "rclone": ([], {"PATH": "bare"}, "rclone is not on the PATH"),
    "kubectl": (["--place", "kubernetes"], {"PATH": "few"}, "kubectl is not on the PATH"),
    "the cluster": (["--place", "kubernetes"], {"PATH": "refused"}, "was refused"),
    "compose": (["--place", "compose"], NO_COMPOSE, "the container grab takes no command"),
    "such a place": (["--place", "moon"], {}, "kubernetes, compose or plain"),
    "such an option": (["--moon"], {}, "--moon is no option"),
}


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    """A PATH with few programs on it, one without even rclone, and one whose kubectl is refused."""
    few, bare, refused = tmp_path / "few", tmp_path / "bare", tmp_path / "refused"
    for folder in (few, bare):
        write_program(folder / "python3", f'exec {sys.executable} "$@"')
        for program in PROGRAMS:
            if (folder, program) != (bare, "rclone"):
                (folder / program).symlink_to(str(shutil.which(program)))
    write_program(refused / "kubectl", "echo 'was refused' >&2; exit 1")
    return {"few": str(few), "bare": str(bare), "refused": f"{refused}:{os.environ['PATH']}"}


def write_program(path: Path, text: str) -> None:
    """Make a program."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("name", ["backup.sh", "restore.sh"])
def test_what_is_missing_is_reported_first(kept: Path, place: Place, tmp_path: Path, paths, name: str) -> None:
    """A server, a program or a whole line that is not there: exit status 2, which one, and nothing was made."""
    words = ["--yes", kept] if name == "restore.sh" else [tmp_path / "none"]
    for what, (more, environment, said) in MISSING.items():
        variables = {key: paths.get(value, value) for key, value in environment.items()}
        done = script(name, *more, *words, at=place, **variables)
        assert (done.returncode, said in done.stderr) == (2, True), (what, done.stderr)
        assert "secret" not in done.stderr.replace("MINIO_SECRET_KEY", "")
    nowhere = script(name, *words, PATH=paths["few"], **NO_COMPOSE)
    assert (nowhere.returncode, "no line was found" in nowhere.stderr) == (2, True), nowhere.stderr
    assert not list(tmp_path.glob("none*"))


def test_a_backup_overwrites_nothing(kept: Path, place: Place) -> None:
    """A folder that is there stays as it is."""
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    done = script("backup.sh", kept, at=place)
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before


def test_a_backup_that_fails_leaves_nothing(place: Place, tmp_path: Path) -> None:
    """Where rclone ends on its way, or what it copied cannot be read back, no folder looks like a backup."""
    migrate(place.engine)
    place.bucket("images").put(StoredObject("original/a.jpg", b"a picture" * 10_000, "image/jpeg"))
    real = shutil.which("rclone")
    path = os.pathsep.join((str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]))
    damage = 'for last; do :; done; echo >>"$last/images/original/a.jpg"'
    for text, said in (
        (f'[ "$1" = copy ] && exit 7\nexec {real} "$@"', "could not be copied"),
        (f'{real} "$@" || exit\n[ "$1" = hashsum ] || exit 0\n{damage}', "cannot be read back"),
    ):
        write_program(tmp_path / "bin" / "rclone", text)
        done = script("backup.sh", tmp_path / "b", at=place, PATH=path)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
        assert "no backup was made" in done.stderr
        assert not list(tmp_path.glob("b.*"))
        assert not (tmp_path / "b").exists()

"""scripts/backup.sh and restore.sh on real servers: what was lost is there again, byte for byte and row for row."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from api_line import Api, until
from tiny_embedder import cells

from benchmarks.running_line import KEPT
from benchmarks.servers import MinioServer, PostgresServer
from stageline.catalogue import Catalogue, open_engine
from stageline.catalogue.migrate import migrate
from stageline.keys import OUTCOMES
from stageline.modelstore import Repository
from stageline.redis_client import connect
from stageline.settings import Settings
from stageline.stage import StoredObject
from stageline.store import S3Store
from tests.catalogue_makers import dump
from tests.conftest import REPOSITORY, missing, s3_settings

SECONDS = 300


@dataclass
class Place:
    """The servers of a line: where scripts find them, and what is in them."""

    minio: MinioServer
    database_url: str

    def __post_init__(self) -> None:
        self.engine = open_engine(Settings(database_url=self.database_url))

    @property
    def environment(self) -> dict[str, str]:
        """What a line's processes, and the scripts, are told of them."""
        minio = {"MINIO_ACCESS_KEY": self.minio.access_key, "MINIO_SECRET_KEY": self.minio.secret_key}
        return {**minio, "MINIO_ENDPOINT": self.minio.endpoint, "DATABASE_URL": self.database_url}

    def bucket(self, name: str) -> S3Store:
        store = S3Store.from_settings(s3_settings(self.minio, name))
        store.check()
        return store

    def objects(self) -> dict[str, bytes]:
        """All objects of both buckets."""
        stores = {name: self.bucket(name) for name in ("images", "models")}
        return {f"{name}/{key}": store.get(key) for name, store in stores.items() for key in store.keys("")}


@pytest.fixture
def place(start_minio, postgres_server: PostgresServer) -> Place:
    """A MinIO and a database with nothing in them."""
    return Place(start_minio(), postgres_server.create_database("to_back_up"))


@pytest.fixture
def new_place(start_minio, postgres_server: PostgresServer) -> Place:
    """Others, after those were lost."""
    return Place(start_minio(), postgres_server.create_database("to_restore"))


def script(name: str, *words: object, at: Place | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script with that environment, and nothing on its standard input."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
    told = {"LOG_LEVEL": "ERROR"} | (at.environment if at else {})
    return subprocess.run(
        [REPOSITORY / "scripts" / name, *map(str, words)], env=kept | told | environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _tools() -> None:
    for program in ("bash", "tar", "pg_dump", "pg_restore", "psql"):
        if shutil.which(program) is None:
            missing(f"no {program} on the PATH")


@pytest.fixture
def kept(place: Place, tmp_path: Path) -> Path:
    """A backup of a few rows and objects, of a line that does not run."""
    migrate(place.engine)
    place.bucket("images").put(StoredObject("original/a.jpg", b"a picture", "image/jpeg"))
    Repository(place.bucket("models")).publish(cells())
    done = script("backup.sh", tmp_path / "backup", at=place)
    assert done.returncode == 0, done.stderr
    return tmp_path / "backup"


def test_what_was_destroyed_is_there_again(
    start_line, start_redis, place: Place, new_place: Place, data_dir: Path, tmp_path: Path
) -> None:
    """Pictures go through, all servers are lost, new ones get the backup: same objects, same rows, served."""
    redis = start_redis()
    line = start_line(REDIS_URL=redis.url, CACHE_URL="off", **place.environment)
    api = Api(f"http://127.0.0.1:{line.port}", Catalogue(place.engine))
    face = min((data_dir / "faces").rglob("*.jpg")).read_bytes()
    objects = (data_dir / "coco128" / "images" / "000000000025.jpg").read_bytes()
    ids = [api.upload(face, "a face.jpg")["image_id"], api.upload(objects)["image_id"]]
    waits = api.upload(objects, "waits.jpg", "?process=false")["image_id"]
    gone = api.upload(face, "gone.jpg", "?process=false")["image_id"]
    Repository(place.bucket("models")).publish(cells())
    for image_id in ids:
        assert api.ended(image_id)["status"] == "completed"
    assert api.call("DELETE", f"/image/{gone}").status == 204
    until(lambda: connect(redis.url).llen(OUTCOMES) == 0)
    tagged = {image_id: api.call("GET", f"/image/{image_id}").data for image_id in ids}

    folder = tmp_path / "backups" / "first"
    done = script("backup.sh", folder, at=place)
    assert done.returncode == 0, done.stderr
    rows, content = dump(place.engine, tombstones=True), place.objects()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == {name: len(each) for name, each in rows.items()} | {"alembic_version": 1}
    assert min(manifest["rows"].values()) > 0
    assert manifest["buckets"]["images"]["objects"] + manifest["buckets"]["models"]["objects"] == len(content)
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}  # people's pictures

    assert line.stop() == 0
    place.minio.kill()
    redis.kill()
    line = start_line(REDIS_URL=start_redis().url, CACHE_URL="off", **new_place.environment)
    done = script("restore.sh", folder, at=new_place)  # asks nothing: there is nothing to overwrite
    assert done.returncode == 0, done.stderr
    assert "stageline reconcile --queue" in done.stdout
    assert new_place.objects() == content
    assert dump(new_place.engine, tombstones=True) == rows

    api = Api(f"http://127.0.0.1:{line.port}", Catalogue(new_place.engine))
    assert {row["image_id"] for row in api.call("GET", "/images").json["images"]} == {*ids, waits}
    assert {image_id: api.call("GET", f"/image/{image_id}").data for image_id in ids} == tagged
    asked = script("../scripts/restore.sh", folder, at=new_place)
    assert asked.returncode == 2
    assert "There is something already" in asked.stderr
    assert script("restore.sh", "--yes", folder, at=new_place).returncode == 0  # while the line runs
    assert dump(new_place.engine, tombstones=True) == rows
    assert api.upload(face, "another.jpg")["status"]


def test_a_damaged_backup_is_refused(kept: Path, new_place: Place) -> None:
    """One byte that is another, or a file that is missing or came later: a sentence names it, and nothing changes."""
    good = (kept / "buckets.tar").read_bytes()

    def flip() -> None:
        (kept / "buckets.tar").write_bytes(good[:700] + b"!" + good[701:])

    def cut() -> None:
        (kept / "buckets.tar").write_bytes(good[:-600])

    def lose() -> None:
        (kept / "buckets.tar").unlink()

    def exchange() -> None:
        (kept / "buckets.tar").write_bytes(good)
        sums = (kept / "SHA256SUMS").read_text().splitlines(keepends=True)
        (kept / "SHA256SUMS").write_text("".join(row for row in sums if "catalogue.dump" not in row))

    for harm, said in (
        (flip, "buckets.tar"),
        (cut, "buckets.tar"),
        (lose, "buckets.tar"),
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


def test_what_is_there_is_not_overwritten_unasked(kept: Path, new_place: Place) -> None:
    """With an object in the bucket, or a row in the catalogue, and nobody to ask, nothing changes without --yes."""
    store = new_place.bucket("images")
    store.put(StoredObject("original/a.jpg", b"newer", "image/jpeg"))
    done = script("restore.sh", kept, at=new_place)
    assert done.returncode == 2
    assert "images: 1 objects" in done.stderr
    assert "--yes" in done.stderr
    assert store.get("original/a.jpg") == b"newer"
    assert script("restore.sh", "--yes", kept, at=new_place).returncode == 0
    assert store.get("original/a.jpg") == b"a picture"


@pytest.mark.parametrize("name", ["backup.sh", "restore.sh"])
def test_what_is_missing_is_said_first(kept: Path, place: Place, tmp_path: Path, name: str) -> None:
    """A server, a program or a whole line that is not there: exit status 2, which one, and nothing was made."""
    folder = kept if name == "restore.sh" else tmp_path / "none"
    words = ["--yes"] if name == "restore.sh" else []
    without = tmp_path / "without"
    without.mkdir()
    for program in (
        "bash",
        "env",
        "tar",
        "date",
        "dirname",
        "basename",
        "sed",
        "grep",
        "sha256sum",
        "printenv",
        "head",
    ):
        (without / program).symlink_to(str(shutil.which(program)))
    (without / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (without / "python3").chmod(0o755)
    (tmp_path / "kubectl-away").mkdir()
    (tmp_path / "kubectl-away" / "kubectl").write_text("#!/bin/sh\necho 'was refused' >&2\nexit 1\n")
    (tmp_path / "kubectl-away" / "kubectl").chmod(0o755)
    away = f"{tmp_path / 'kubectl-away'}:{os.environ['PATH']}"
    cases: list[tuple[list[str], dict[str, str], str]] = [
        ([], {"MINIO_ENDPOINT": "127.0.0.1:1"}, "the buckets cannot be read"),
        ([], {"MINIO_SECRET_KEY": "not-the-secret"}, "the buckets cannot be read"),
        ([], {"DATABASE_URL": "postgresql://nobody:se%63ret@127.0.0.1:1/none"}, "PostgreSQL does not answer"),
        ([], {"PATH": str(without)}, "pg_dump is not on the PATH"),
        (["--place", "kubernetes"], {"PATH": str(without)}, "kubectl is not on the PATH"),
        (["--place", "kubernetes"], {"PATH": away}, "was refused"),
        (["--place", "compose"], {"COMPOSE": "no-such-program"}, "the container grab takes no command"),
        (["--place", "moon"], {}, "kubernetes, compose or plain"),
        (["--moon"], {}, "--moon is no option"),
    ]
    for more, environment, said in cases:
        done = script(name, *words, *more, folder, at=place, **environment)
        assert (done.returncode, said in done.stderr) == (2, True), (said, done.stderr)
        assert "secret" not in done.stderr.replace("MINIO_SECRET_KEY", "")
    nowhere = script(name, *words, folder, PATH=str(without), COMPOSE="no-such-program")
    assert (nowhere.returncode, "no line was found" in nowhere.stderr) == (2, True), nowhere.stderr
    assert not list(tmp_path.glob("none*"))


def test_a_backup_overwrites_nothing(kept: Path, place: Place) -> None:
    """A folder that is there stays as it is."""
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    done = script("backup.sh", kept, at=place)
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


def test_a_backup_that_fails_leaves_nothing(place: Place, tmp_path: Path) -> None:
    """Where the export is cut off on its way, no folder looks like a backup."""
    migrate(place.engine)
    place.bucket("images").put(StoredObject("original/a.jpg", b"a picture" * 10_000, "image/jpeg"))
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "stageline"
    real = f"{sys.executable} -P -m stageline"
    shim.write_text(f'#!/bin/bash\nif [ "$2" = export ]; then {real} "$@" | head -c 50000; else exec {real} "$@"; fi\n')
    shim.chmod(0o755)
    done = script("backup.sh", tmp_path / "b", at=place, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert "no backup was made" in done.stderr
    assert not list(tmp_path.glob("b.*"))
    assert not (tmp_path / "b").exists()


def test_without_postgres_the_catalogue_is_made_anew(tmp_path: Path) -> None:
    """SQLite's file is not copied, which is said; after restoring, one command makes it from the buckets."""
    (tmp_path / "from" / "images" / "original").mkdir(parents=True)
    (tmp_path / "from" / "images" / "original" / "a.jpg").write_bytes(b"a picture")
    done = script("backup.sh", "--place", "plain", tmp_path / "b", STAGELINE_DATA=str(tmp_path / "from"))
    assert done.returncode == 0, done.stderr
    assert "SQLite" in done.stderr
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["SHA256SUMS", "buckets.tar", "manifest.json"]
    done = script("restore.sh", "--place", "plain", tmp_path / "b", STAGELINE_DATA=str(tmp_path / "to"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "to" / "images" / "original" / "a.jpg").read_bytes() == b"a picture"
    assert "stageline catalogue rebuild" in done.stdout


def test_in_compose_everything_runs_in_the_containers(
    kept: Path, place: Place, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Dumped by postgres, exported by grab; here a stand-in for `docker compose` runs what they would run."""
    own = Place(place.minio, postgres_server.create_database("stageline"))
    migrate(own.engine)
    with own.engine.begin() as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN CREATE ROLE stageline SUPERUSER LOGIN; EXCEPTION WHEN OTHERS THEN END $$"
        )
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres_server.port)}
    told = " ".join(f"{name}='{value}'" for name, value in {**own.environment, **where}.items())
    stand_in = tmp_path / "compose"
    stand_in.write_text(
        "#!/bin/bash\n[ \"$1 $2\" = 'ps -q' ] && { echo 0123; exit; }\n"
        'echo "$@" >>"$0.log"\n[ "$1 $2" = "exec -T" ] || exit 1\nshift 2\n'
        '[ "$1" = -e ] && { export "$2"; shift 2; }\nservice=$1\nshift\n'
        '[ "$*" = "printenv DATABASE_URL" ] && { echo postgresql://stageline@postgres:5432/stageline; exit; }\n'
        f'[ "$service" = grab ] && [ "$1" = python ] && {{ shift; set -- {sys.executable} "$@"; }}\n'
        f'exec env {told} "$@"\n'
    )
    stand_in.chmod(0o755)
    rows, content = dump(own.engine, tombstones=True), own.objects()
    for name, words in (("backup.sh", [tmp_path / "b"]), ("restore.sh", ["--yes", tmp_path / "b"])):
        done = script(name, *words, COMPOSE=str(stand_in), KUBECONFIG="/nowhere")
        assert done.returncode == 0, done.stderr
    assert f"{stand_in} exec grab python -P -m stageline reconcile --queue" in done.stdout
    assert json.loads((tmp_path / "b" / "manifest.json").read_text())["place"] == "compose"
    assert dump(own.engine, tombstones=True) == rows
    assert own.objects() == content
    ran = (tmp_path / "compose.log").read_text()
    assert "exec -T -e PGUSER=stageline postgres pg_dump" in ran
    assert "exec -T grab python -P -m stageline bucket import" in ran

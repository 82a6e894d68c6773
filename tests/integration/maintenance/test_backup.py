"""scripts/backup.sh and restore.sh on real servers: what was lost is there again, byte for byte and row for row."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stageline.broker.keys import OUTCOMES
from stageline.broker.redis_client import connect
from stageline.catalogue import Catalogue
from stageline.catalogue.migrate import migrate
from stageline.registry.repository import Repository
from stageline.store.base import StoredObject
from tests.support.api_line import Api, until
from tests.support.backup_place import Place, script
from tests.support.bucket_makers import old_archive
from tests.support.catalogue_makers import dump
from tests.support.servers import PostgresServer
from tests.support.tiny_embedder import cells

pytest_plugins = ["tests.support.backup_fixtures"]


def test_what_was_destroyed_is_there_again(
    start_line, start_redis, place: Place, new_place: Place, data_dir: Path, tmp_path: Path
) -> None:
    """Pictures go through, all servers are lost, new ones get the backup: same objects, same rows, served."""
    redis = start_redis()
    line = start_line(REDIS_URL=redis.url, CACHE_URL="off", **place.environment)
    api = Api(f"http://127.0.0.1:{line.port}", Catalogue(place.engine))
    tagged, waits = send_pictures(api, data_dir)
    until(lambda: not any(api.call("GET", "/queue-status").json["total"].values()))  # nor is the deleted one moving
    until(lambda: connect(redis.url).llen(OUTCOMES) == 0)
    Repository(place.bucket("models")).publish(cells())
    folder = tmp_path / "backups" / "first"
    done = script("backup.sh", folder, at=place)
    assert done.returncode == 0, done.stderr
    rows, content = dump(place.engine, tombstones=True), place.objects()
    check_backup(folder, rows, content)

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
    assert {row["image_id"] for row in api.call("GET", "/images").json["images"]} == {*tagged, waits}
    assert {image_id: api.call("GET", f"/image/{image_id}").data for image_id in tagged} == tagged
    assert script("restore.sh", "--yes", folder, at=new_place).returncode == 0  # while the line runs
    assert dump(new_place.engine, tombstones=True) == rows
    assert api.upload(a_face(data_dir), "another.jpg")["status"]


def send_pictures(api: Api, data_dir: Path) -> tuple[dict[str, bytes], str]:
    """Two pictures to their ends, as they are served then; one that waits, by its id; and one that is deleted."""
    face = a_face(data_dir)
    objects = (data_dir / "coco128" / "images" / "000000000025.jpg").read_bytes()
    ids = [api.upload(face, "a face.jpg")["image_id"], api.upload(objects)["image_id"]]
    waits = api.upload(objects, "waits.jpg", "?process=false")["image_id"]
    gone = api.upload(face, "gone.jpg", "?process=false")["image_id"]
    for image_id in ids:
        assert api.ended(image_id)["status"] == "completed"
    assert api.call("DELETE", f"/image/{gone}").status == 204
    assert api.ended(waits)["status"] == "waiting"
    return {image_id: api.call("GET", f"/image/{image_id}").data for image_id in ids}, waits


def a_face(data_dir: Path) -> bytes:
    """A picture of a person."""
    return min((data_dir / "faces").rglob("*.jpg")).read_bytes()


def check_backup(folder: Path, rows: dict[str, list], content: dict[str, bytes]) -> None:
    """Hold what a backup says of itself against what was there; people's pictures are nobody else's."""
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["rows"] == {name: len(each) for name, each in rows.items()} | {"alembic_version": 1}
    assert min(manifest["rows"].values()) > 0
    assert manifest["buckets"]["images"]["objects"] + manifest["buckets"]["models"]["objects"] == len(content)
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}


def test_what_is_there_is_not_overwritten_unasked(kept: Path, new_place: Place) -> None:
    """With an object in the bucket, or a row in the catalogue, and nobody to ask, nothing changes without --yes."""
    store = new_place.bucket("images")
    store.put(StoredObject("original/a.jpg", b"newer", "image/jpeg"))
    done = script("restore.sh", kept, at=new_place)
    assert done.returncode == 2
    assert "images: 1 objects" in done.stderr
    assert "There is something already" in done.stderr
    assert "--yes" in done.stderr
    assert store.get("original/a.jpg") == b"newer"
    assert script("restore.sh", "--yes", kept, at=new_place).returncode == 0
    assert store.get("original/a.jpg") == b"a picture"


@pytest.mark.usefixtures("tools")
def test_without_postgres_the_catalogue_is_made_anew(tmp_path: Path) -> None:
    """SQLite's file is not copied, which is said; after restoring, one command makes it from the buckets."""
    (tmp_path / "from" / "images" / "original").mkdir(parents=True)
    (tmp_path / "from" / "images" / "original" / "a.jpg").write_bytes(b"a picture")
    done = script("backup.sh", "--place", "plain", tmp_path / "b", STAGELINE_DATA=str(tmp_path / "from"))
    assert done.returncode == 0, done.stderr
    assert "SQLite" in done.stderr
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["SHA256SUMS", "buckets", "manifest.json"]
    done = script("restore.sh", "--place", "plain", tmp_path / "b", STAGELINE_DATA=str(tmp_path / "to"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "to" / "images" / "original" / "a.jpg").read_bytes() == b"a picture"
    assert "stageline catalogue rebuild" in done.stdout


def test_in_compose_everything_runs_in_the_containers(
    kept: Path, place: Place, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Dumped by postgres, copied by rclone; here a stand-in for `docker compose` runs what they would run."""
    own = Place(place.minio, postgres_server.create_database("stageline"))
    migrate(own.engine)
    with own.engine.begin() as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN CREATE ROLE stageline SUPERUSER LOGIN; EXCEPTION WHEN OTHERS THEN END $$"
        )
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres_server.port)}
    variables = " ".join(f"{name}='{value}'" for name, value in {**own.environment, **where}.items())
    stand_in = tmp_path / "compose"
    stand_in.write_text(
        "#!/bin/bash\n[ \"$1 $2\" = 'ps -q' ] && { echo 0123; exit; }\n"
        'echo "$@" >>"$0.log"\n'
        'if [ "$1 $2 $3 $4 $5 $7" = "run --rm -T --no-deps --user --volume" ]; then\n'
        '  [ "$9 ${10}" = "rclone -s" ] && exec sh -s "${8%:/backup}"\nfi\n'
        '[ "$1 $2" = "exec -T" ] || exit 1\nshift 2\n'
        '[ "$1" = -e ] && { export "$2"; shift 2; }\nservice=$1\nshift\n'
        '[ "$*" = "printenv DATABASE_URL" ] && { echo postgresql://stageline@postgres:5432/stageline; exit; }\n'
        f'[ "$service" = grab ] && [ "$1" = python ] && {{ shift; set -- {sys.executable} "$@"; }}\n'
        f'exec env {variables} "$@"\n'
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
    assert "exec -T grab python -P -m stageline bucket script import" in ran
    assert f"--volume {tmp_path / 'b' / 'buckets'}:/backup rclone -s /backup" in ran
    assert place.minio.secret_key not in ran


def test_a_backup_of_the_version_before_is_restored(kept: Path, new_place: Place) -> None:
    """With an archive of the buckets in place of the folder, as 0.1.0 made it; a damaged one changes nothing."""
    objects = {
        path.relative_to(kept / "buckets").as_posix(): path.read_bytes()
        for name in ("images", "models")
        for path in (kept / "buckets" / name).rglob("*")
        if path.is_file()
    }
    shutil.rmtree(kept / "buckets")
    for data, status in ((old_archive(objects, images={"objects": 7, "bytes": 7}), 2), (old_archive(objects), 0)):
        (kept / "buckets.tar").write_bytes(data)
        (kept / "SHA256SUMS").unlink()
        files = ("./buckets.tar", "./catalogue.dump", "./manifest.json")
        sums = subprocess.run(["sha256sum", *files], cwd=kept, capture_output=True, text=True, check=True, timeout=60)
        (kept / "SHA256SUMS").write_text(sums.stdout)
        assert new_place.objects() == {}
        done = script("restore.sh", "--yes", kept, at=new_place)
        assert done.returncode == status, done.stderr
        assert ("nothing was changed" in done.stderr) == (status == 2)
    assert new_place.objects() == objects
    assert "image_info" in dump(new_place.engine)

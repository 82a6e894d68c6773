"""Pictures that Redis lost are found, and go on as what the catalogue still knows they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from stageline.broker.keys import OUTCOMES, name_key, status_key
from stageline.broker.producer import Producer
from stageline.catalogue import Catalogue, open_engine
from stageline.catalogue.migrate import migrate
from stageline.catalogue.writer import Writer
from stageline.core.settings import Settings
from stageline.maintenance.reconcile import lost_pictures
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support import commands
from tests.support.catalogue_makers import SHA, at, document, dump, ended, first_message, keep, outbox_event
from tests.support.servers import RedisServer


@pytest.fixture
def producer(redis_server: RedisServer) -> Producer:
    found = Producer(redis_server.url, 1000)
    found.client.flushall()
    return found


@pytest.fixture
def bucket(tmp_path) -> FolderStore:
    found = FolderStore(tmp_path / "bucket")
    found.check()
    return found


def put(bucket: FolderStore, *names: str) -> None:
    for name in names:
        bucket.put(StoredObject(f"original/{name}.jpg", b"jpeg", "image/jpeg"))


def test_only_pictures_that_are_nowhere_are_lost(bucket, producer) -> None:
    """Not what has results or a status, what a search left, or what another picture's results name."""
    put(bucket, "lost", "moving", "probe-1", "elsewhere", "done")
    keep(bucket, document("done"))
    keep(bucket, document("other", original_path="original/elsewhere.jpg"))
    bucket.delete("original/other.jpg")
    producer.client.hset(status_key("moving"), "status", "processing")
    assert [message.image_id for message in lost_pictures(bucket, producer)] == ["lost"]


def test_what_the_catalogue_knows_goes_along(catalogue_engine, bucket, producer) -> None:
    """Accepted with it, and completed, the row says what it said before Redis lost the picture."""
    put(bucket, "a", "unknown", "again")
    writer = Writer(catalogue_engine, bucket, 0)
    first = first_message("a", 5, batch_id="b1", origin_w=640, origin_h=480)
    writer.apply([outbox_event("a", "submitted", document=first), outbox_event("again", "processing", 3)])
    before = dump(catalogue_engine)["image_info"][0]
    catalogue = Catalogue(catalogue_engine)
    found = {message.image_id: message for message in lost_pictures(bucket, producer, catalogue)}
    fields = found["a"].fields
    known = {"filename": "a.jpg", "file_size": 1234, "sha256": SHA, "uploaded_at": at(5), "batch_id": "b1"}
    assert fields.items() >= {**known, "origin_w": 640, "origin_h": 480, "run": 1}.items()
    assert "sha256" not in found["unknown"].fields
    assert (found["again"].run, len(found["again"].fields["runs"])) == (3, 1)
    for message in found.values():
        assert producer.accept(message, limited=False) == message.image_id
    writer.apply(producer.client.lrange(OUTCOMES, 0, -1))
    rows = {row["image_key"]: row for row in dump(catalogue_engine)["image_info"]}
    assert rows["a"] == before
    ends = {**found["again"].fields, "status": "completed", "updated_at": at(900), "completed_at": at(900)}
    writer.apply([ended(ends)])
    assert catalogue.picture("again")["status"] == "completed"


def test_a_catalogue_that_is_away_is_no_error(bucket, producer, tmp_path) -> None:
    put(bucket, "a")
    for url in ("postgresql://nobody@127.0.0.1:1/none", f"sqlite:///{tmp_path}/not-migrated.sqlite3"):
        catalogue = Catalogue(open_engine(Settings(database_url=url)))
        (message,) = lost_pictures(bucket, producer, catalogue)
        assert (message.image_id, message.fields["filename"]) == ("a", "a.jpg")


def test_rebuilding_leaves_to_redis_what_moves(redis_server, producer, tmp_path) -> None:
    """On the command line: a run that Redis knows stays; where Redis is away, the bucket alone counts."""
    data = tmp_path / "data"
    store = FolderStore(data / "images")
    keep(store, document("moves"))
    keep(store, document("lost"))
    engine = open_engine(Settings(stageline_data=data))
    migrate(engine)
    begun = [outbox_event(name, "processing", 2) for name in ("moves", "lost")]
    Writer(engine, store, 0).apply([*(ended(document(name)) for name in ("moves", "lost")), *begun])
    producer.client.hset(status_key("moves"), mapping={"status": "processing", "run": 2})
    for url, runs in ((redis_server.url, [1, 2]), ("redis://127.0.0.1:1/0", [1, 1])):
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        command = [sys.executable, "-m", "stageline", "catalogue", "rebuild", "--json"]
        environment = {**kept, "STAGELINE_DATA": str(data), "REDIS_URL": url}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["results"] == 2
        assert [row["run"] for row in dump(engine)["image_info"]] == runs
        assert ("REDIS_URL" in done.stderr) == (runs == [1, 1])


def reconcile(redis_server: RedisServer, folder: Path, *words: str, **environment: str) -> CompletedProcess[str]:
    """Run `stageline reconcile` on the bucket of a folder, whose catalogue is not there."""
    own = {"REDIS_URL": redis_server.url, "STAGELINE_DATA": str(folder), **environment}
    done = commands.stageline(folder, "reconcile", *words, **own)
    assert done.returncode == 0, done.stderr
    return done


def test_a_requeued_picture_is_found_by_its_name_for_status_ttl(redis_server, producer, bucket, tmp_path) -> None:
    """The lookup by file name lasts as long as every other one: STATUS_TTL seconds, and no constant."""
    put(bucket, "a")
    (tmp_path / "bucket").rename(tmp_path / "images")
    reconcile(redis_server, tmp_path, "--queue", STATUS_TTL="7200")
    assert 7200 - 300 < producer.client.ttl(name_key("a.jpg")) <= 7200


def test_json_alone_stands_on_stdout(redis_server, producer, bucket, tmp_path) -> None:
    """What reconcile warns of goes to stderr, so that a script can read its answer; LOG_LEVEL=ERROR silences it."""
    put(bucket, "a")
    bucket.put(StoredObject("original/no key.jpg", b"jpeg", "image/jpeg"))
    (tmp_path / "bucket").rename(tmp_path / "images")
    done = reconcile(redis_server, tmp_path, "--json")
    assert json.loads(done.stdout) == ["a"]
    assert "no key.jpg" in done.stderr
    assert "no key.jpg" not in reconcile(redis_server, tmp_path, "--json", LOG_LEVEL="ERROR").stderr


def test_no_command_logs_on_stdout() -> None:
    """Also one that reads no settings, or warns before it has read them."""
    code = "from stageline import cli\nfrom stageline.core import logs\n"
    code += "try:\n    cli.main()\nfinally:\n    logs.get().warning('a warning')\n"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert "a warning" not in done.stdout
    assert json.loads(done.stderr)["event"] == "a warning"

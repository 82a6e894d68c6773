"""`stageline catalogue rebuild`: the bucket alone gives the same rows."""

import json
import os
import subprocess
import sys

import pytest
from sqlalchemy import text

from stageline.catalogue.engine import writing
from stageline.catalogue.migrate import migrate
from stageline.catalogue.rebuild import Rebuilt, rebuild
from stageline.catalogue.writer import Writer
from stageline.core.settings import Settings
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.catalogue_makers import (
    CANDIDATES,
    at,
    document,
    drop,
    dump,
    ended,
    entry,
    keep,
    outbox_event,
    stream,
)

SETTINGS = Settings(retention_days=2)


@pytest.fixture
def bucket(tmp_path) -> FolderStore:
    found = FolderStore(tmp_path / "bucket")
    found.check()
    return found


def documents() -> list[dict]:
    """Pictures that ended in every way, and one of an earlier version."""
    two_runs = [
        {
            "run": 1,
            "from": "resize",
            "created_at": at(3),
            "status": "failed",
            "finished_at": at(5),
            "reason": "it broke",
        },
        {"run": 2, "from": "tag", "created_at": at(6)},
    ]
    superseded = [{"stage": "tag", **entry("tag", 4, state="failed", reason="it broke")}]
    old = {"image_id": "old", "original_path": "original/old.jpg", "status": "completed", "completed_at": at(1)}
    found = [document("done", 1), document("failed", 2, "failed"), document("waits", 4, "waiting"), old]
    found.append(document("again", 3, run=2, runs=two_runs, history=superseded))
    imagenet = [{"category": "cup", "confidence": 0.1}]
    found += [document(f"p{n:03}", n, detections=[], imagenet=imagenet, candidates=CANDIDATES) for n in range(30)]
    return found


def test_dropped_and_rebuilt_the_rows_are_the_same(catalogue_engine, bucket) -> None:
    """Written by outbox events, then everything dropped: row for row the same, embeddings and history too."""
    found = documents()
    for n, each in enumerate(found):
        keep(bucket, each, seed=n)
    writer = Writer(catalogue_engine, bucket, 2)
    for each in found:
        if each["image_id"] not in ("old", "again"):
            writer.apply(stream(each["image_id"], 0, each["status"])[:2])
    writer.apply([*stream("again", 3, "failed"), outbox_event("again", "processing", 2, **{"from": "tag"})])
    writer.apply([ended(each) for each in found])
    before = dump(catalogue_engine)
    assert all(len(rows) >= 30 for rows in before.values())
    assert sum(not row["named"] for row in before["prediction_results"]) == 90
    assert sum(row["embedding"] is not None for row in before["faces"]) == len(before["faces"]) == 34
    drop(catalogue_engine)
    migrate(catalogue_engine)
    done = rebuild(catalogue_engine, bucket, SETTINGS)
    assert done == Rebuilt(results=len(found))
    assert dump(catalogue_engine) == before
    assert rebuild(catalogue_engine, bucket, SETTINGS) == done
    assert dump(catalogue_engine) == before


def test_what_is_wrong_in_the_catalogue_is_put_right(catalogue_engine, bucket) -> None:
    """Changed rows are written anew, missing ones come back, and what the bucket does not have goes."""
    for each in documents():
        keep(bucket, each)
    rebuild(catalogue_engine, bucket, SETTINGS)
    before = dump(catalogue_engine)
    Writer(catalogue_engine, bucket, 2).apply([*stream("stranger"), *stream("orphan", 1)])
    with writing(catalogue_engine) as connection:
        connection.execute(text("UPDATE image_info SET kind = 'nonsense'"))
        connection.execute(text("DELETE FROM prediction_results"))
        connection.execute(text("DELETE FROM image_info WHERE image_key IN ('done', 'orphan')"))
    assert rebuild(catalogue_engine, bucket, SETTINGS).removed == 1
    assert dump(catalogue_engine) == before


def test_a_picture_without_results_is_on_its_way(catalogue_engine, bucket) -> None:
    """Its key says what is known; when its outbox events come, they are taken as ever. Probes are no pictures."""
    ulid = "01M7YH7XH8V8RJTMQJD1GBPPQJ"
    for name in (
        f"original/{ulid}.png",
        "original/named.jpg",
        "original/probe-1.jpg",
        "results/probe-2.json",
        "original/.x",
    ):
        bucket.put(StoredObject(name, b"{}", "application/octet-stream"))
    assert rebuild(catalogue_engine, bucket, SETTINGS) == Rebuilt(originals=2)
    rows = {row["image_key"]: row for row in dump(catalogue_engine)["image_info"]}
    assert {key: row["status"] for key, row in rows.items()} == {ulid: "submitted", "named": "submitted"}
    assert rows[ulid]["uploaded_at"].year == 2026
    assert rows["named"]["uploaded_at"] == bucket.stat("original/named.jpg").modified
    before = dump(catalogue_engine)
    rebuild(catalogue_engine, bucket, SETTINGS)
    assert dump(catalogue_engine) == before
    Writer(catalogue_engine, bucket, 2).apply(stream("named"))
    assert {row["status"] for row in dump(catalogue_engine)["image_info"]} == {"submitted", "completed"}


def test_what_moves_meanwhile_is_left_alone(catalogue_engine, bucket) -> None:
    """A later run than the bucket's, and a deleted picture whose objects are not yet gone."""
    for name in ("again", "deleted"):
        keep(bucket, document(name))
    writer = Writer(catalogue_engine, bucket, 0)
    writer.apply(
        [
            *stream("again"),
            outbox_event("again", "processing", 2),
            *stream("deleted"),
            outbox_event("deleted", "deleted"),
        ]
    )
    before = dump(catalogue_engine, tombstones=True)
    asked: list[str] = []

    def is_moving(image_ids) -> set[str]:
        asked.extend(image_ids)
        return {"again"} & set(image_ids)

    rebuild(catalogue_engine, bucket, Settings(), is_moving=is_moving)
    assert dump(catalogue_engine, tombstones=True) == before
    assert sorted(asked) == ["again", "deleted"]


def test_a_run_that_redis_lost_is_undone(catalogue_engine, bucket) -> None:
    """No worker works on it: the rows are again what the bucket says, and those of the run's beginning are gone."""
    keep(bucket, document("again"))
    writer = Writer(catalogue_engine, bucket, 0)
    writer.apply(stream("again"))
    before = dump(catalogue_engine)
    writer.apply([outbox_event("again", "processing", 2, **{"from": "tag"})])
    assert dump(catalogue_engine) != before
    rebuild(catalogue_engine, bucket, Settings())
    assert dump(catalogue_engine) == before


def test_a_first_run_that_redis_lost_begins_anew(catalogue_engine, bucket) -> None:
    """What the catalogue knew of the upload stays, for a later requeue."""
    bucket.put(StoredObject("original/a.jpg", b"jpeg", "image/jpeg"))
    writer = Writer(catalogue_engine, bucket, 0)
    writer.apply(stream("a")[:1])
    before = dump(catalogue_engine)
    writer.apply(stream("a")[1:])
    rebuild(catalogue_engine, bucket, Settings())
    (image,) = dump(catalogue_engine)["image_info"]
    (known,) = before["image_info"]
    names = ("status", "run", "filename", "bytes", "sha256", "uploaded_at", "completed_at")
    assert {name: image[name] for name in names} == {name: known[name] for name in names}
    assert not dump(catalogue_engine)["prediction_results"]


def test_an_original_of_another_name_is_no_picture_of_its_own(catalogue_engine, bucket) -> None:
    """A message may name any key below original/: the picture that names it has it."""
    said = document("a", original_path="original/b.jpg")
    keep(bucket, said)
    bucket.delete("original/a.jpg")
    bucket.put(StoredObject("original/b.jpg", b"jpeg", "image/jpeg"))
    Writer(catalogue_engine, bucket, 0).apply([ended(said)])
    before = dump(catalogue_engine)
    assert rebuild(catalogue_engine, bucket, Settings()) == Rebuilt(results=1)
    assert dump(catalogue_engine) == before


def test_results_that_are_no_good_are_named_and_left_out(catalogue_engine, bucket) -> None:
    for name, data in (
        ("a", b"{"),
        ("b", b"[]"),
        ("c", b'{"status": "completed"}'),
        ("d", b'{"image_id": "a", "status": 1}'),
    ):
        bucket.put(StoredObject(f"results/{name}.json", data, "application/json"))
    assert rebuild(catalogue_engine, bucket, Settings()) == Rebuilt(results=1, skipped=3)


def test_on_the_command_line(tmp_path) -> None:
    """migrate, rebuild and status, for people and for scripts."""
    data = tmp_path / "data"
    keep(FolderStore(data / "images"), document("a"))
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    environment = {**kept, "STAGELINE_DATA": str(data), "REDIS_URL": "redis://127.0.0.1:1/0"}

    def stageline(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stageline", "catalogue", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert stageline("status").returncode == 3
    assert json.loads(stageline("migrate", "--json").stdout) == {"schema": "0006"}
    rebuilt = json.loads(stageline("rebuild", "--json").stdout)
    assert rebuilt == {"results": 1, "originals": 0, "skipped": 0, "removed": 0}
    status = stageline("status", "--json")
    assert json.loads(status.stdout) == {"schema": "0006", "pictures": {"completed": 1}, "backlog": None}
    assert "REDIS_URL" in status.stderr
    assert "1 pictures with results" in stageline("rebuild").stdout

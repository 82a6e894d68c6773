"""Erasing what is past its time: objects, rows, and what Redis knows; and nothing else."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from ulid import ULID

from catalogue_service import retention
from catalogue_service.consumer import OutboxConsumer
from catalogue_service.lease import WriterLease
from catalogue_service.retention import Retention
from stageline.broker import dead_letters
from stageline.broker.keys import DEAD_COUNTS, DEAD_LETTERS, OUTCOMES, status_key
from stageline.broker.redis_client import connect
from stageline.catalogue import Catalogue, expiry
from stageline.catalogue.writer import Writer
from stageline.core.settings import Settings
from stageline.maintenance.deletion import erase_objects
from stageline.pipeline.message import FOLDERS, Message
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.catalogue_makers import document, dump, ended, keep, outbox_event, stream
from tests.support.servers import RedisServer


@pytest.fixture
def redis(redis_server: RedisServer):
    found = connect(redis_server.url)
    found.flushall()
    return found


@pytest.fixture
def bucket(tmp_path) -> FolderStore:
    found = FolderStore(tmp_path / "bucket")
    found.check()
    return found


def test_erasing_removes_every_object_of_one_picture(store) -> None:
    """In every folder, whatever its ending, and no other picture's."""
    mine = [f"{folder}/a.{ending}" for folder in FOLDERS for ending in ("jpg", "json")]
    others = ["original/ab.jpg", "original/a-b.jpg", "results/aa.json"]
    store.put_all([StoredObject(key, b"x", "image/jpeg") for key in [*mine, *others]])
    assert erase_objects(store, "a") == len(mine)
    assert sorted(store.keys("")) == sorted(others)
    assert erase_objects(store, "a") == 0
    for bad in ("", "../a", "a/b", "*"):
        with pytest.raises(ValueError, match="id"):
            erase_objects(store, bad)
    assert len(list(store.keys(""))) == len(others)


def test_erasing_takes_the_original_of_another_name(store) -> None:
    """Only from below original/, and none of a picture that has results of its own: a message may say anything."""
    for key in ("original/b.jpg", "results/a.json", "resized/c.jpg", "original/d.jpg", "results/d.json"):
        store.put(StoredObject(key, b"x", "image/jpeg"))
    others = ["original/d.jpg", "resized/c.jpg", "results/d.json"]
    for path in ("resized/c.jpg", "original/../resized/c.jpg", "original/d.jpg", "", None):
        erase_objects(store, "a", path)
    assert sorted(store.keys("")) == ["original/b.jpg", *others]
    erase_objects(store, "a", "original/b.jpg")
    assert sorted(store.keys("")) == others


def swept(engine, bucket, redis_server, days: int, now: datetime) -> Writer:
    """Run one sweep of retention at that time, and then apply its outbox events."""
    found = Settings(redis_url=redis_server.url, retention_days=days)
    writer, lease = Writer(engine, bucket, days), WriterLease(redis_server.url, 30)
    lease.renew()
    Retention(Catalogue(engine), bucket, lease, found).sweep(now)
    OutboxConsumer(redis_server.url, writer, lease).step()
    return writer


def test_what_is_past_its_time_goes_and_nothing_else(catalogue_engine, redis, redis_server, bucket) -> None:
    """Objects, rows and Redis; those that are younger, or on their way, stay."""
    now = datetime(2026, 11, 25, tzinfo=UTC)
    for name, seconds in (("old", 0), ("young", 86_400 * 3)):
        keep(bucket, document(name, seconds))
    keep(bucket, document("moving", 1))
    writer = Writer(catalogue_engine, bucket, 2)
    writer.apply(
        [*stream("old"), *stream("young", 86_400 * 3), *stream("moving", 1), outbox_event("moving", "processing", 2)]
    )
    redis.hset(status_key("moving"), mapping={"status": "processing", "run": 2})
    swept(catalogue_engine, bucket, redis_server, 2, now)
    assert [row["image_key"] for row in dump(catalogue_engine)["image_info"]] == ["moving", "young"]
    assert {key.split("/")[1].split(".")[0] for key in bucket.keys("")} == {"moving", "young"}
    assert [json.loads(raw) for raw in redis.lrange(OUTCOMES, 0, -1)] == []
    writer.apply(stream("old"))
    assert Catalogue(catalogue_engine).picture("old") is None


def test_what_was_lost_on_its_way_goes_too(catalogue_engine, redis, redis_server, bucket) -> None:
    """With its original, whatever its name, and its dead letters."""
    said = document("lost", original_path="original/other.jpg")
    keep(bucket, said)
    bucket.put(StoredObject("original/other.jpg", b"x", "image/jpeg"))
    for name in ("lost", "stays"):
        redis.rpush(DEAD_LETTERS, dead_letters.encode("tag", b"{}", "no", message=Message({"image_id": name}, b"{}")))
        redis.hincrby(DEAD_COUNTS, "tag", 1)
    Writer(catalogue_engine, bucket, 2).apply([ended(said), outbox_event("lost", "processing", 2)])
    swept(catalogue_engine, bucket, redis_server, 2, datetime(2026, 11, 25, tzinfo=UTC))
    assert list(bucket.keys("")) == []
    assert not any(dump(catalogue_engine).values())
    assert [content["image_id"] for _, content in dead_letters.DeadLetters(redis).list()] == ["stays"]


def test_one_sweep_takes_all_and_none_twice(catalogue_engine, redis, redis_server, bucket, monkeypatch) -> None:
    """However many there are, and while the writer has yet to take their rows away."""
    monkeypatch.setattr(retention, "BATCH_SIZE", 4)
    writer = Writer(catalogue_engine, bucket, 2)
    writer.apply([ended(document(f"p{n:02}", n // 3)) for n in range(14)])
    for n in range(14):
        keep(bucket, document(f"p{n:02}", n // 3))
    lease = WriterLease(redis_server.url, 30)
    lease.renew()
    found = Settings(redis_url=redis_server.url, retention_days=2)
    sweeper = Retention(Catalogue(catalogue_engine), bucket, lease, found)
    for _ in range(2):
        sweeper.sweep(datetime(2026, 11, 25, tzinfo=UTC))
        assert list(bucket.keys("")) == []
        assert redis.llen(OUTCOMES) == 14
    assert len(dump(catalogue_engine)["image_info"]) == 14
    OutboxConsumer(redis_server.url, writer, lease).step()
    assert not any(dump(catalogue_engine).values())


def test_with_retention_0_everything_stays(catalogue_engine, redis, redis_server, bucket) -> None:
    keep(bucket, document("old"))
    Writer(catalogue_engine, bucket, 2).apply(stream("old"))
    swept(catalogue_engine, bucket, redis_server, 0, datetime(2099, 1, 1, tzinfo=UTC))
    assert Catalogue(catalogue_engine).picture("old") is not None


def test_what_a_probe_left_goes_after_an_hour(catalogue_engine, redis, redis_server, bucket) -> None:
    """What is younger may still be in use."""
    for key in ("original/probe-x.jpg", "resized/probe-y.jpg", "original/x.jpg"):
        bucket.put(StoredObject(key, b"x", "image/jpeg"))
    swept(catalogue_engine, bucket, redis_server, 0, datetime.now(UTC) + timedelta(minutes=50))
    assert len(list(bucket.keys(""))) == 3
    swept(catalogue_engine, bucket, redis_server, 0, datetime.now(UTC) + timedelta(minutes=70))
    assert list(bucket.keys("")) == ["original/x.jpg"]
    assert redis.llen(OUTCOMES) == 0


def test_a_probe_is_as_old_as_its_id(catalogue_engine, redis, redis_server, bucket) -> None:
    """The line's clock made it; the store's, which says when the object was written, may be another."""
    now = datetime(2026, 11, 21, 10, tzinfo=UTC)
    old, young = (ULID.from_datetime(now - timedelta(minutes=minutes)) for minutes in (70, 50))
    for each in (old, young):
        bucket.put(StoredObject(f"original/probe-{each}.jpg", b"x", "image/jpeg"))
    swept(catalogue_engine, bucket, redis_server, 0, now)
    assert list(bucket.keys("")) == [f"original/probe-{young}.jpg"]


@pytest.mark.parametrize(("before", "after"), [(0, 3), (3, 0), (3, 30), (5, 5)])
def test_a_changed_setting_counts_for_what_is_there(catalogue_engine, bucket, before, after, monkeypatch) -> None:
    """RETENTION_DAYS as it is now, counted from each upload, to the microsecond."""
    monkeypatch.setattr(expiry, "BATCH_SIZE", 2)
    Writer(catalogue_engine, bucket, before).apply([ended(document(f"p{n}", n / 7)) for n in range(5)])
    assert expiry.bring_up_to_date(catalogue_engine, after) == (0 if before == after else 5)
    assert expiry.bring_up_to_date(catalogue_engine, after) == 0
    for row in dump(catalogue_engine)["image_info"]:
        assert row["expires_at"] == (row["uploaded_at"] + timedelta(days=after) if after else None)


def test_tombstones_are_kept_for_a_month(catalogue_engine, bucket) -> None:
    writer = Writer(catalogue_engine, bucket, 0)
    writer.apply([outbox_event("a", "deleted")])
    deleted_at = dump(catalogue_engine, tombstones=True)["deleted_images"][0]["deleted_at"]
    expiry.forget_tombstones(catalogue_engine, deleted_at + timedelta(days=29))
    assert writer.apply(stream("a")).changed == 0
    expiry.forget_tombstones(catalogue_engine, deleted_at + timedelta(days=31))
    assert writer.apply(stream("a")).changed == 3

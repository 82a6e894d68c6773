"""The writer: every outcome once, forward only, and none that is no good holds up another."""

import json
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, text

from stageline.catalogue import Catalogue, bulk
from stageline.catalogue.engine import writing
from stageline.catalogue.outcomes import Outcome
from stageline.catalogue.writer import Writer
from stageline.errors import Unavailable
from stageline.store import FolderStore
from tests.catalogue_makers import BEGAN, at, document, dump, embedding, ended, first_message, keep, outcome, stream


@pytest.fixture
def bucket(tmp_path) -> FolderStore:
    found = FolderStore(tmp_path / "bucket")
    found.check()
    return found


@pytest.fixture
def writer(catalogue_engine: Engine, bucket: FolderStore) -> Writer:
    return Writer(catalogue_engine, bucket, 0)


def test_a_completed_picture_has_all_its_rows(catalogue_engine, writer, bucket) -> None:
    """Each table says what the results say, in UTC."""
    said = document("a")
    keep(bucket, said, seed=3)
    writer.apply(stream("a"))
    rows = dump(catalogue_engine)
    (image,) = rows["image_info"]
    assert image | {"rank": 3} == {
        "image_key": "a", "filename": "a.jpg", "filename_key": "a.jpg", "filename_guessed": None,
        "kind": "face", "status": "completed", "reason": None,
        "failed_stage": None, "width": 640, "height": 480, "bytes": 1234, "sha256": said["sha256"],
        "original_path": "original/a.jpg", "batch_id": None, "run": 1, "rank": 3, "uploaded_at": BEGAN,
        "updated_at": BEGAN + timedelta(seconds=7), "completed_at": BEGAN + timedelta(seconds=7), "expires_at": None,
    }  # fmt: skip
    found = [(row["task"], row["category"], row["confidence"], row["hostname"]) for row in rows["prediction_results"]]
    assert found == [
        ("image-classification", "automobile", 0.97, "classify-host"),
        ("object-detection", "person", 0.9, "detect-host"),
        ("object-detection", "person", 0.5, "detect-host"),
        ("object-detection", "dog", 0.7, "detect-host"),
    ]
    person = rows["prediction_results"][1]
    assert (person["model"], person["version"]) == ("yolox-nano", "0.1.1-1")
    assert person["box"] == [1, 2.5, 30, 40]
    assert person["time"] == BEGAN + timedelta(seconds=3.5)
    (face,) = rows["faces"]
    assert np.frombuffer(face["embedding"], "<f4").tolist() == np.array(embedding(3), "<f4").tolist()
    assert face["embedding_model"] == "facenet@2"
    assert face["landmarks"] == [[1, 2], [3, 4]]
    tried = [(row["stage"], row["state"], row["error"]) for row in rows["task_history"]]
    assert tried == [
        ("grab", "done", None), ("resize", "done", None), ("grayscale", "done", None),
        ("detect", "retrying", "no model: try again"), ("detect", "done", None), ("classify", "done", None),
        ("tag", "done", None),
    ]  # fmt: skip
    (task,) = rows["tasks"]
    assert task["from_stage"] == "resize"
    assert (task["status"], task["created_at"]) == ("completed", BEGAN)
    assert task["finished_at"] == BEGAN + timedelta(seconds=7)


def test_repeated_and_older_outcomes_change_nothing(catalogue_engine, writer, bucket) -> None:
    """The same batch twice, and each of its beginnings again, leave the same rows."""
    keep(bucket, document("a"))
    batch = [*stream("a"), *stream("b", 5, "failed"), *stream("c", 6, "waiting")]
    writer.apply(batch)
    before = dump(catalogue_engine)
    assert [row["status"] for row in before["image_info"]] == ["completed", "failed", "waiting"]
    for raw in [*batch, *reversed(batch)]:
        assert writer.apply([raw]).changed == 0
    assert writer.apply(batch).changed == 0
    assert dump(catalogue_engine) == before


def test_one_by_one_or_all_at_once_the_rows_are_the_same(catalogue_engine, writer, bucket) -> None:
    """How outcomes fall into batches does not show; not even with runs, failures and deletions among them."""
    again = document(
        "a", 0, run=2, runs=[{"run": 1, "from": "resize", "status": "completed"}, {"run": 2, "from": "tag"}]
    )
    batch = [*stream("a"), *stream("b", 1, "failed"), *stream("c", 2), outcome("a", "processing", 2, **{"from": "tag"})]
    batch += [
        outcome("b", "processing", 2, **{"from": "detect"}),
        outcome("c", "deleted"),
        ended(again),
        *stream("d", 3)[:2],
    ]
    writer.apply(batch)
    at_once = dump(catalogue_engine, tombstones=True)
    with writing(catalogue_engine) as connection:
        for table in at_once:
            connection.execute(text(f"DELETE FROM {table}"))
    for raw in batch:
        writer.apply([raw])
    assert dump(catalogue_engine, tombstones=True) == at_once
    statuses = {row["image_key"]: (row["status"], row["run"]) for row in at_once["image_info"]}
    assert statuses == {"a": ("completed", 2), "b": ("processing", 2), "d": ("processing", 1)}
    assert [(row["image_key"], row["run"], row["status"], row["from_stage"]) for row in at_once["tasks"]] == [
        ("a", 1, "completed", "resize"), ("a", 2, "completed", "tag"), ("b", 1, "failed", "resize"),
        ("b", 2, "processing", "detect"), ("d", 1, "processing", "resize"),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_the_latest_stands(catalogue_engine, writer, seed) -> None:
    """Whatever comes after what, and how often, a picture ends where its latest outcome says."""
    batch = [*stream("a"), outcome("a", "processing", 2), ended(document("a", 0, "failed", run=2))]
    shuffled = random.Random(seed).sample(batch * 2, len(batch) * 2)
    for begin in range(0, len(shuffled), 3):
        writer.apply(shuffled[begin : begin + 3])
    (image,) = dump(catalogue_engine)["image_info"]
    assert (image["status"], image["run"], image["reason"]) == ("failed", 2, "it broke")


def test_a_deleted_picture_stays_deleted(catalogue_engine, writer) -> None:
    """Rows go, and later outcomes of it, in the same batch or another, bring none back."""
    writer.apply([*stream("a"), *stream("b", 1)])
    writer.apply([outcome("a", "deleted", 2**31 - 1), *stream("a")])
    writer.apply([outcome("a", "processing", 7), ended(document("a", run=9)), outcome("a", "deleted")])
    rows = dump(catalogue_engine)
    assert {row["image_key"] for table in rows.values() for row in table} == {"b"}
    writer.apply([outcome("never-seen", "deleted"), *stream("never-seen")])
    assert [row["image_key"] for row in dump(catalogue_engine)["image_info"]] == ["b"]


def test_an_id_that_is_used_again_is_a_picture_again(catalogue_engine, writer, bucket) -> None:
    """What was told after the deletion counts, and what was told before never does, however often it is applied."""
    batch = [*stream("a"), outcome("a", "deleted", at=at(200))]
    begun = outcome("a", "submitted", document=first_message("a", 500), at=at(500))
    batch += [begun, outcome("a", "completed", document=document("a", 500, detections=[]), at=at(507))]
    writer.apply(batch)
    before = dump(catalogue_engine, tombstones=True)
    assert [row["uploaded_at"] for row in before["image_info"]] == [BEGAN + timedelta(seconds=500)]
    assert len(before["deleted_images"]) == 1
    for some in (batch, batch[:3], batch[:4], batch[3:], batch[4:]):
        assert writer.apply(some).changed == 0
    assert dump(catalogue_engine, tombstones=True) == before
    writer.apply([outcome("a", "deleted", at=at(600))])
    assert not any(dump(catalogue_engine).values())


def test_a_deletion_counts_for_what_the_list_has_before_it(catalogue_engine, writer) -> None:
    """Clocks differ: what was told before by a clock that is fast does not come back when it is applied again."""
    batch = [*stream("a")[:2], outcome("a", "completed", document=document("a"), at=at(100.5)), outcome("a", "deleted")]
    for _ in range(2):
        writer.apply(batch)
        assert not any(dump(catalogue_engine).values())


def test_the_same_end_told_twice_is_the_buckets(catalogue_engine, writer, bucket) -> None:
    """Two workers did the same work: the later document counts, and what the bucket has counts for more than both."""
    first, second = document("a"), document("a", categories=[], updated_at=at(50), completed_at=at(50))
    keep(bucket, first)
    writer.apply(stream("a"))
    assert writer.apply([ended(second)]).changed == 1
    assert "image-classification" not in {row["task"] for row in dump(catalogue_engine)["prediction_results"]}
    assert writer.apply([ended(first), ended(second)]).changed == 0
    batch = [ended(first), ended(second), outcome("a", "completed")]
    writer.apply(batch)
    of_bucket = dump(catalogue_engine)
    assert "image-classification" in {row["task"] for row in of_bucket["prediction_results"]}
    for some in (batch, batch[1:], batch[2:], [ended(first), batch[2]]):
        writer.apply(some)
        assert dump(catalogue_engine) == of_bucket


def test_embeddings_are_only_the_pictures_own(catalogue_engine, writer, bucket) -> None:
    """Another picture's may be erased any day; and each of its own is one face's."""
    keep(bucket, document("victim"), seed=3)
    face = document("evil")["faces"][0]
    theirs = {**face, "embedding": {"key": "findings/victim.json", "index": 0}}
    said = document("evil", faces=[theirs, *[face] * 2000])
    keep(bucket, said, seed=4)
    writer.apply([ended(said)])
    embedded = [row["position"] for row in dump(catalogue_engine)["faces"] if row["embedding"] is not None]
    assert embedded == [1]


def test_huge_documents_are_written_some_at_a_time(catalogue_engine, writer, monkeypatch) -> None:
    """Nothing is left out, and nothing is there twice."""
    from stageline.catalogue import writer as module

    monkeypatch.setattr(module, "MOST_ROWS", 20)
    batch = [raw for n in range(30) for raw in stream(f"p{n:02}", n)]
    applied = writer.apply(batch)
    assert (applied.changed, applied.old, applied.skipped) == (90, 0, 0)
    assert {row["status"] for row in dump(catalogue_engine)["image_info"]} == {"completed"}


def test_a_second_run_keeps_what_was_found_until_it_ends(catalogue_engine, writer) -> None:
    writer.apply(stream("a", 0, "failed"))
    writer.apply([outcome("a", "processing", 2, **{"from": "detect"})])
    rows = dump(catalogue_engine)
    (image,) = rows["image_info"]
    assert (image["status"], image["run"]) == ("processing", 2)
    assert (image["reason"], image["failed_stage"], image["completed_at"]) == (None, None, None)
    assert len(rows["prediction_results"]) == 4
    writer.apply([ended(document("a", run=2, detections=[]))])
    assert [row["task"] for row in dump(catalogue_engine)["prediction_results"]] == ["image-classification"]


def test_a_short_outcome_is_completed_from_the_bucket(catalogue_engine, writer, bucket) -> None:
    """Where too many wait, the list has no documents: they are read; what the bucket lacks is left out."""
    keep(bucket, document("a"))
    applied = writer.apply([outcome("a", "completed"), outcome("gone", "completed"), *stream("b")])
    assert (applied.changed, applied.skipped) == (4, 1)
    assert [(row["image_key"], row["status"]) for row in dump(catalogue_engine)["image_info"]] == [
        ("a", "completed"), ("b", "completed"),
    ]  # fmt: skip


def test_a_foreign_producers_picture_has_a_row_from_its_first_stage_on(catalogue_engine, writer) -> None:
    writer.apply([outcome("foreign", "processing")])
    (image,) = dump(catalogue_engine)["image_info"]
    assert (image["status"], image["uploaded_at"]) == ("processing", BEGAN + timedelta(seconds=100))
    bare = {
        "image_id": "foreign",
        "original_path": "original/foreign.jpg",
        "status": "completed",
        "completed_at": at(120),
    }
    writer.apply([ended(bare)])
    (image,) = dump(catalogue_engine)["image_info"]
    assert (image["status"], image["updated_at"]) == ("completed", BEGAN + timedelta(seconds=120))


def test_probes_leave_no_rows(catalogue_engine, writer) -> None:
    writer.apply(stream("probe-1"))
    assert not any(dump(catalogue_engine).values())


def test_nothing_that_is_no_good_holds_up_another(catalogue_engine, writer) -> None:
    """Bytes, JSON and documents of every wrong kind are left out, and what stands between them is written."""
    bad = [
        b"", b"\xff\xfe", b"null", b"[]", b"{", b'"x"', b"[" * 100_000, b"1" * 5000, b'{"image_id": "a"}',
        outcome("../../etc", "completed"), outcome("a", "finished"), outcome("a", ["completed"]),
        outcome("x", "completed", document=document("y")), outcome("x", "completed", document=[1]),
        outcome("x", "completed", document={"status": "no such"}), outcome("x", "completed", document={"status": {}}),
    ]  # fmt: skip
    batch = [raw for n, each in enumerate(bad) for raw in (each, *stream(f"good-{n}", n))]
    applied = writer.apply(batch)
    assert applied.skipped == len(bad)
    assert [row["status"] for row in dump(catalogue_engine)["image_info"]] == ["completed"] * len(bad)


def test_what_the_database_refuses_is_left_out_alone(catalogue_engine, writer, monkeypatch) -> None:
    """A value that no cleaning foresaw fails its own picture, not the batch."""
    given = bulk.add

    def spoilt(connection, table, rows):
        spoils = table.name == "image_info"
        given(
            connection, table, [row | ({"status": None} if spoils and row["image_key"] == "b" else {}) for row in rows]
        )

    monkeypatch.setattr(bulk, "add", spoilt)
    applied = writer.apply([ended(document(name, n)) for n, name in enumerate("abcd")])
    assert (applied.changed, applied.skipped) == (3, 1)
    assert [row["image_key"] for row in dump(catalogue_engine)["image_info"]] == ["a", "c", "d"]


def test_two_writers_at_once_write_what_one_would(catalogue_engine, writer, bucket) -> None:
    """Both apply everything, in other batches: no error, and no row twice."""
    from concurrent.futures import ThreadPoolExecutor

    batch = [raw for n in range(40) for raw in stream(f"p{n:02}", n, "failed" if n % 3 == 0 else "completed")]
    second = Writer(catalogue_engine, bucket, 0)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(lambda: [writer.apply(batch[n : n + 7]) for n in range(0, len(batch), 7)])
        two = pool.submit(lambda: [second.apply(batch[n : n + 11]) for n in range(0, len(batch), 11)])
        assert sum(applied.changed for applied in [*one.result(), *two.result()]) == len(batch)
    assert len(dump(catalogue_engine)["image_info"]) == 40


def test_retention_gives_each_picture_an_end(catalogue_engine, bucket) -> None:
    Writer(catalogue_engine, bucket, 3).apply([*stream("a"), outcome("foreign", "processing")])
    ends = {row["image_key"]: row["expires_at"] - row["uploaded_at"] for row in dump(catalogue_engine)["image_info"]}
    assert ends == {"a": timedelta(days=3), "foreign": timedelta(days=3)}
    assert Catalogue(catalogue_engine).expired(datetime(2026, 11, 25, tzinfo=UTC), 9)[0]["image_key"] == "a"


def test_a_store_that_is_away_is_waited_for(catalogue_engine, tmp_path) -> None:
    """Nothing is applied, so that nothing is left out."""
    away = FolderStore(tmp_path / "never-made")
    with pytest.raises(Unavailable):
        Writer(catalogue_engine, away, 0).apply([*stream("b"), outcome("a", "completed")])
    assert dump(catalogue_engine)["image_info"] == []


def test_an_outcome_is_read_as_it_was_written() -> None:
    found = Outcome.decode(
        json.dumps({"image_id": "a", "run": 2, "status": "processing", "at": at(1), "from": "tag"}).encode()
    )
    assert (found.run, found.at, found.from_stage, found.document) == (2, BEGAN + timedelta(seconds=1), "tag", None)
    assert first_message("a")["status"] == "submitted"

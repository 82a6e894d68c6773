"""The writer: every outbox event counts once and forward only, in whatever order and batches they come."""

import random
from datetime import timedelta

import pytest
from sqlalchemy import text

from stageline.catalogue.engine import writing
from stageline.catalogue.writer import Writer
from tests.support.catalogue_makers import BEGAN, at, document, dump, ended, first_message, keep, outbox_event, stream

pytest_plugins = ("tests.support.catalogue_fixtures",)


def test_repeated_and_older_outbox_events_change_nothing(catalogue_engine, writer, bucket) -> None:
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
    """How outbox events fall into batches does not show; not even with runs, failures and deletions among them."""
    again = document(
        "a", 0, run=2, runs=[{"run": 1, "from": "resize", "status": "completed"}, {"run": 2, "from": "tag"}]
    )
    batch = [
        *stream("a"),
        *stream("b", 1, "failed"),
        *stream("c", 2),
        outbox_event("a", "processing", 2, **{"from": "tag"}),
    ]
    batch += [
        outbox_event("b", "processing", 2, **{"from": "detect"}),
        outbox_event("c", "deleted"),
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
    """Whatever comes after what, and how often, a picture ends where its latest outbox event says."""
    batch = [*stream("a"), outbox_event("a", "processing", 2), ended(document("a", 0, "failed", run=2))]
    shuffled = random.Random(seed).sample(batch * 2, len(batch) * 2)
    for begin in range(0, len(shuffled), 3):
        writer.apply(shuffled[begin : begin + 3])
    (image,) = dump(catalogue_engine)["image_info"]
    assert (image["status"], image["run"], image["reason"]) == ("failed", 2, "it broke")


def test_a_deleted_picture_stays_deleted(catalogue_engine, writer) -> None:
    """Rows go, and later outbox events of it, in the same batch or another, bring none back."""
    writer.apply([*stream("a"), *stream("b", 1)])
    writer.apply([outbox_event("a", "deleted", 2**31 - 1), *stream("a")])
    writer.apply([outbox_event("a", "processing", 7), ended(document("a", run=9)), outbox_event("a", "deleted")])
    rows = dump(catalogue_engine)
    assert {row["image_key"] for table in rows.values() for row in table} == {"b"}
    writer.apply([outbox_event("never-seen", "deleted"), *stream("never-seen")])
    assert [row["image_key"] for row in dump(catalogue_engine)["image_info"]] == ["b"]


def test_an_id_that_is_used_again_is_a_picture_again(catalogue_engine, writer, bucket) -> None:
    """Events after the deletion count, and events before it never do, however often they are applied."""
    batch = [*stream("a"), outbox_event("a", "deleted", at=at(200))]
    begun = outbox_event("a", "submitted", document=first_message("a", 500), at=at(500))
    batch += [begun, outbox_event("a", "completed", document=document("a", 500, detections=[]), at=at(507))]
    writer.apply(batch)
    before = dump(catalogue_engine, tombstones=True)
    assert [row["uploaded_at"] for row in before["image_info"]] == [BEGAN + timedelta(seconds=500)]
    assert len(before["deleted_images"]) == 1
    for some in (batch, batch[:3], batch[:4], batch[3:], batch[4:]):
        assert writer.apply(some).changed == 0
    assert dump(catalogue_engine, tombstones=True) == before
    writer.apply([outbox_event("a", "deleted", at=at(600))])
    assert not any(dump(catalogue_engine).values())


def test_a_deletion_counts_for_what_the_list_has_before_it(catalogue_engine, writer) -> None:
    """Clocks differ: an event before the deletion by a fast clock brings nothing back when it is applied again."""
    batch = [
        *stream("a")[:2],
        outbox_event("a", "completed", document=document("a"), at=at(100.5)),
        outbox_event("a", "deleted"),
    ]
    for _ in range(2):
        writer.apply(batch)
        assert not any(dump(catalogue_engine).values())


def test_of_two_ends_of_one_run_the_buckets_counts(catalogue_engine, writer, bucket) -> None:
    """Two workers did the same work: the later document counts, and what the bucket has counts for more than both."""
    first, second = document("a"), document("a", categories=[], updated_at=at(50), completed_at=at(50))
    keep(bucket, first)
    writer.apply(stream("a"))
    assert writer.apply([ended(second)]).changed == 1
    assert "image-classification" not in {row["task"] for row in dump(catalogue_engine)["prediction_results"]}
    assert writer.apply([ended(first), ended(second)]).changed == 0
    batch = [ended(first), ended(second), outbox_event("a", "completed")]
    writer.apply(batch)
    of_bucket = dump(catalogue_engine)
    assert "image-classification" in {row["task"] for row in of_bucket["prediction_results"]}
    for some in (batch, batch[1:], batch[2:], [ended(first), batch[2]]):
        writer.apply(some)
        assert dump(catalogue_engine) == of_bucket


def test_a_second_run_keeps_what_was_found_until_it_ends(catalogue_engine, writer) -> None:
    writer.apply(stream("a", 0, "failed"))
    writer.apply([outbox_event("a", "processing", 2, **{"from": "detect"})])
    rows = dump(catalogue_engine)
    (image,) = rows["image_info"]
    assert (image["status"], image["run"]) == ("processing", 2)
    assert (image["reason"], image["failed_stage"], image["completed_at"]) == (None, None, None)
    assert len(rows["prediction_results"]) == 4
    writer.apply([ended(document("a", run=2, detections=[]))])
    assert [row["task"] for row in dump(catalogue_engine)["prediction_results"]] == ["image-classification"]


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

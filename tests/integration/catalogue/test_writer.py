"""The writer: a picture's rows say what its results say, and no outbox event that is no good holds up another."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from stageline.catalogue import Catalogue, bulk
from stageline.catalogue.outbox import OutboxEvent
from stageline.catalogue.writer import Writer
from stageline.core.errors import Unavailable
from stageline.store import FolderStore
from tests.support.catalogue_makers import (
    BEGAN,
    at,
    document,
    dump,
    embedding,
    ended,
    first_message,
    keep,
    outbox_event,
    stream,
)

pytest_plugins = ("tests.support.catalogue_fixtures",)


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

    monkeypatch.setattr(module, "MAX_ROWS", 20)
    batch = [raw for n in range(30) for raw in stream(f"p{n:02}", n)]
    applied = writer.apply(batch)
    assert (applied.changed, applied.old, applied.skipped) == (90, 0, 0)
    assert {row["status"] for row in dump(catalogue_engine)["image_info"]} == {"completed"}


def test_a_short_outbox_event_is_completed_from_the_bucket(catalogue_engine, writer, bucket) -> None:
    """Where too many wait, the list has no documents: they are read; what the bucket lacks is left out."""
    keep(bucket, document("a"))
    applied = writer.apply([outbox_event("a", "completed"), outbox_event("gone", "completed"), *stream("b")])
    assert (applied.changed, applied.skipped) == (4, 1)
    assert [(row["image_key"], row["status"]) for row in dump(catalogue_engine)["image_info"]] == [
        ("a", "completed"), ("b", "completed"),
    ]  # fmt: skip


def test_a_foreign_producers_picture_has_a_row_from_its_first_stage_on(catalogue_engine, writer) -> None:
    writer.apply([outbox_event("foreign", "processing")])
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
        outbox_event("../../etc", "completed"), outbox_event("a", "finished"), outbox_event("a", ["completed"]),
        outbox_event("x", "completed", document=document("y")), outbox_event("x", "completed", document=[1]),
        outbox_event("x", "completed", document={"status": "no such"}),
        outbox_event("x", "completed", document={"status": {}}),
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


def test_retention_gives_each_picture_an_end(catalogue_engine, bucket) -> None:
    Writer(catalogue_engine, bucket, 3).apply([*stream("a"), outbox_event("foreign", "processing")])
    ends = {row["image_key"]: row["expires_at"] - row["uploaded_at"] for row in dump(catalogue_engine)["image_info"]}
    assert ends == {"a": timedelta(days=3), "foreign": timedelta(days=3)}
    assert Catalogue(catalogue_engine).expired(datetime(2026, 11, 25, tzinfo=UTC), 9)[0]["image_key"] == "a"


def test_a_store_that_is_away_is_waited_for(catalogue_engine, tmp_path) -> None:
    """Nothing is applied, so that nothing is left out."""
    away = FolderStore(tmp_path / "never-made")
    with pytest.raises(Unavailable):
        Writer(catalogue_engine, away, 0).apply([*stream("b"), outbox_event("a", "completed")])
    assert dump(catalogue_engine)["image_info"] == []


def test_an_outbox_event_is_read_as_it_was_written() -> None:
    found = OutboxEvent.decode(
        json.dumps({"image_id": "a", "run": 2, "status": "processing", "at": at(1), "from": "tag"}).encode()
    )
    assert (found.run, found.at, found.from_stage, found.document) == (2, BEGAN + timedelta(seconds=1), "tag", None)
    assert first_message("a")["status"] == "submitted"

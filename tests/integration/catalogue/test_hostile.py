"""Documents may come from anybody: a picture's rows are made of what is good in them, or it is left out."""

import json
from datetime import UTC, datetime

import pytest

from stageline.catalogue.tables import UtcTime
from stageline.catalogue.writer import Writer
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.catalogue_makers import document, dump, ended, stream
from tests.support.junk_cases import JUNK


def test_any_field_may_hold_anything(catalogue_engine, tmp_path) -> None:
    """Every field in turn with every kind of junk: all of them are written, and can be read."""
    bucket = FolderStore(tmp_path / "bucket")
    bucket.check()
    fields = [name for name in document("a", candidates=[]) if name not in ("image_id", "status")]
    spoilt = [
        {**document(f"p-{field}-{n}"), field: junk} for field in fields for n, junk in enumerate(JUNK)
    ]  # fmt: skip
    writer = Writer(catalogue_engine, bucket, 30)
    batch = [
        json.dumps({"image_id": each["image_id"], "status": "completed", "document": each}).encode() for each in spoilt
    ]
    skipped = sum(writer.apply(batch[n : n + 200]).skipped for n in range(0, len(batch), 200))
    rows = dump(catalogue_engine)
    assert skipped == 0
    assert len(rows["image_info"]) == len(spoilt)
    assert all(row["run"] >= 1 and row["uploaded_at"].tzinfo is UTC for row in rows["image_info"])


def test_results_of_junk_in_the_bucket_hold_up_no_other(catalogue_engine, tmp_path) -> None:
    bucket = FolderStore(tmp_path / "bucket")
    bucket.put(StoredObject("results/a.json", b"[" * 200_000, "application/json"))
    bucket.put(StoredObject("results/b.json", json.dumps(document("other")).encode(), "application/json"))
    short = [json.dumps({"image_id": name, "status": "completed"}).encode() for name in "ab"]
    applied = Writer(catalogue_engine, bucket, 0).apply([*short, *stream("c")])
    assert {row["image_key"] for row in dump(catalogue_engine)["image_info"]} <= {"b", "c"}
    assert applied.skipped >= 1
    assert ended(document("c")) in stream("c")


def test_a_time_without_its_zone_is_refused(catalogue_engine) -> None:
    """A naive datetime would mean another moment on another machine."""
    with pytest.raises(ValueError, match="no time zone"):
        UtcTime().process_bind_param(datetime(2026, 1, 1), catalogue_engine.dialect)  # noqa: DTZ001 - the point

"""Documents may come from anybody: a picture's rows are made of what is good in them, or it is left out."""

import json
import random
from datetime import UTC, datetime

import pytest

from stageline.catalogue import clean, documents
from stageline.catalogue.rows import rows_of
from stageline.catalogue.tables import UtcTime
from stageline.catalogue.writer import Writer
from stageline.core.errors import BadMessage
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.catalogue_makers import at, document, dump, embedding, ended, keep, stream

JUNK = [
    None, True, False, 0, -1, 2**31, 2**63, 2**70, -(2**70), 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf"),
    "", "x", "\x00", "a\x00b", "\ud800", "\t\n\r\\N\\.", "x" * 100_000, "😀" * 3000, [], [[]], {}, {"a": {"b": []}},
    [None],
    [{}],
    [{"label": {}, "score": "1"}], [{"label": "x", "score": float("nan")}], [["x"] * 4],
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59Z", "2026-11-21",
    {"detect": "x", "x" * 999: {}, "\x00": {"run": 2**80, "attempt": -1, "ms": 1e400}},
    {"detect": {"worker": "a:b", "started": "x", "ms": 1e300, "keys": [1, None, "\x00"], "key": 5}},
    [{"run": 1}, {"run": 1}, {"run": "1"}, {"stage": "x", "run": 3, "reason": "\x00"}],
    [{"embedding": {"key": "findings/../../x.json", "index": 0}}],
    [{"embedding": {"key": "findings/a.json", "index": 10**9}}],
]  # fmt: skip


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


@pytest.mark.parametrize("seed", range(30))
def test_documents_of_junk_alone_raise_nothing(seed) -> None:
    """At random, deep inside too; only what has no id or status is refused, with a sentence."""
    source = random.Random(seed)

    def junk(depth: int) -> object:
        if depth and source.random() < 0.6:
            names = ("label", "score", "box", "run", "stage", "reason", "embedding", "key", "index", "started", "keys",
                     "category", "confidence")  # fmt: skip
            if source.random() < 0.5:
                return {source.choice(names): junk(depth - 1) for _ in range(4)}
            return [junk(depth - 1) for _ in range(4)]
        return source.choice(JUNK)

    for _ in range(200):
        said = {name: junk(4) for name in document("a", candidates=[])} | {
            "image_id": "a",
            "status": source.choice(["failed", "waiting"]),
        }
        rows = rows_of(said, {}, 36_500)
        assert rows.image["image_key"] == "a"
        assert len({row["run"] for row in rows.tasks}) == len(rows.tasks)
        assert len({(row["task"], row["position"]) for row in rows.predictions}) == len(rows.predictions)


@pytest.mark.parametrize(
    "bad", [{}, {"image_id": "a"}, {"image_id": "../a", "status": "failed"}, {"image_id": "a", "status": []}]
)
def test_a_document_without_id_or_status_is_refused_in_a_sentence(bad) -> None:
    with pytest.raises(BadMessage, match="must"):
        rows_of(bad, {}, 0)


def test_a_document_of_an_earlier_version_is_understood() -> None:
    """Without runs, times of upload or names of models' versions: one run, from what there is."""
    said = {
        "image_id": "01M7YH7XH8V8RJTMQJD1GBPPQJ", "status": "failed", "failed_stage": "tag", "reason": "it broke",
        "completed_at": at(9), "original_path": "original/a.jpg",
        "detections": [{"label": "cup", "score": 1, "model": "own"}],
        "stages": {"detect": {"state": "done", "attempt": 2, "worker": "somebody", "started": at(3), "ms": 500}},
    }  # fmt: skip
    rows = rows_of(said, {}, 1)
    (task,), (tried,), (cup,) = rows.tasks, rows.history, rows.predictions
    assert (task["run"], task["status"], task["reason"]) == (1, "failed", "it broke")
    assert (tried["run"], tried["attempt"], tried["finished"]) == (1, 2, clean.time(at(3.5)))
    assert (cup["model"], cup["version"], cup["hostname"], cup["time"]) == (
        "own",
        None,
        "somebody",
        clean.time(at(3.5)),
    )
    assert rows.image["uploaded_at"] == clean.ulid_time(said["image_id"])
    assert rows.image["expires_at"] > rows.image["uploaded_at"]


@pytest.mark.parametrize(
    "findings",
    [b"", b"null", b"[]", b'{"faces": 7}', b'{"faces": []}', b'{"faces": [7]}', b'{"faces": [{"embedding": 7}]}',
     json.dumps({"faces": [{"embedding": embedding(1)[:511]}]}).encode(),
     json.dumps({"faces": [{"embedding": [*embedding(1)[:511], None]}]}).encode(),
     json.dumps({"faces": [{"embedding": [*embedding(1)[:511], float("nan")]}]}).encode(),
     json.dumps({"faces": [{"embedding": [*embedding(1)[:511], 1e300]}]}).encode(),
     json.dumps({"faces": [{"embedding": [*embedding(1)[:511], 10**400]}]}).encode()],
)  # fmt: skip
def test_an_embedding_that_is_none_leaves_its_face_without(tmp_path, findings) -> None:
    bucket = FolderStore(tmp_path / "bucket")
    said = document("a")
    keep(bucket, said, seed=None)
    assert documents.read_embeddings(bucket, said, "a") == {}
    bucket.put(StoredObject("findings/a.json", findings, "application/json"))
    assert documents.read_embeddings(bucket, said, "a") == {}


def test_results_of_junk_in_the_bucket_hold_nobody_up(catalogue_engine, tmp_path) -> None:
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

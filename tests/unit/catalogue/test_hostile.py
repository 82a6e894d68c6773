"""Documents may come from anybody: a picture's rows are made of what is good in them, or it is left out."""

import json
import random

import pytest

from stageline.catalogue import clean, documents
from stageline.catalogue.rows import rows_of
from stageline.core.errors import BadMessage
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.catalogue_makers import at, document, embedding, keep
from tests.support.junk_cases import JUNK


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

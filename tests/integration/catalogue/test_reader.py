"""Asking the catalogue: pages that stay steady, filters that are values and never SQL, and the nearest faces."""

import json
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import event, text

from stageline.catalogue import Filter
from stageline.catalogue.engine import writing
from stageline.core.errors import Unavailable
from stageline.pipeline import results
from tests.support.catalogue_makers import BEGAN, SHA, at, document, ended, outbox_event, stream
from tests.support.catalogue_reading import ids

pytest_plugins = ("tests.support.catalogue_fixtures", "tests.support.catalogue_reading")

INJECTIONS = (
    "' OR '1'='1",
    "'; DROP TABLE image_info; --",
    "%",
    "\\",
    'a"b',
    "\x00",
    "\ud800",
    "person' UNION SELECT 1 --",
)


def test_a_picture_on_a_page_has_what_the_api_promises(catalogue, writer) -> None:
    writer.apply(stream("a", batch_id="b1"))
    (image,) = catalogue.pictures(Filter()).images
    assert image == {
        "image_id": "a", "filename": "a.jpg", "status": "completed", "kind": "face", "width": 640, "height": 480,
        "file_size": 1234, "sha256": SHA, "uploaded_at": at(0), "updated_at": at(7), "completed_at": at(7),
        "expires_at": None, "batch_id": "b1", "run": 1, "reason": None, "failed_stage": None,
        "original_path": "original/a.jpg", "faces": 1, "categories": [
            {"category": "automobile", "confidence": 0.97, "objects": 0},
            {"category": "person", "confidence": 0.9, "objects": 2},
            {"category": "dog", "confidence": 0.7, "objects": 1},
        ],
    }  # fmt: skip
    json.dumps(image)
    assert catalogue.picture("a") == image
    assert catalogue.picture("b") is None


def test_the_event_of_an_end_shows_the_categories_that_a_page_does(catalogue, writer) -> None:
    """Each once, whichever model found it: what the detector and the classifier both call a cat is one category."""
    cat = {"category": "cat", "box": [1.0, 2.0, 3.0, 4.0], "model": "mine@1"}
    detections = [{"label": "cat", "score": score, "box": cat["box"], "model": "mine@1"} for score in (0.8, 0.6)]
    content = document(
        "a", 0, detections=detections,
        categories=[{**cat, "confidence": 0.9}, {**cat, "category": "dog", "confidence": 0.95, "box": None}],
        imagenet=[{**cat, "category": "tabby", "confidence": 0.99}],
        candidates=[{**cat, "category": "frog", "confidence": 0.4, "reason": "unsure"}],
    )  # fmt: skip
    writer.apply([ended(content)])
    (image,) = catalogue.pictures(Filter()).images
    assert image["categories"] == results.best_of(content) == [
        {"category": "dog", "confidence": 0.95, "objects": 0}, {"category": "cat", "confidence": 0.9, "objects": 2},
    ]  # fmt: skip


def test_pages_hold_each_picture_once_also_where_many_came_in_the_same_moment(catalogue, writer) -> None:
    """Newest first, and by their ids where the moment is the same."""
    writer.apply([ended(document(f"p{n:02}", n // 7)) for n in range(40)])
    expected = [f"p{n:02}" for n in sorted(range(40), key=lambda n: (n // 7, f"p{n:02}"), reverse=True)]
    for limit in (1, 3, 7, 39, 40, 41):
        assert ids(catalogue, limit) == expected
        assert ids(catalogue, limit, category="person") == expected


def test_pages_are_steady_while_pictures_arrive_and_go(catalogue, writer) -> None:
    """A client that turns the pages sees every picture that was there, once, whatever comes or goes meanwhile."""
    writer.apply([ended(document(f"p{n:02}", n)) for n in range(30)])
    for wanted in ({}, {"category": "dog"}, {"status": "completed"}, {"kind": "face"}):
        seen, following = [], None
        while True:
            page = catalogue.pictures(Filter(**wanted), following, 4)
            seen += [image["image_id"] for image in page.images]
            writer.apply([ended(document(f"new-{len(seen)}-{len(wanted)}", 1000 + len(seen)))])
            if page.images:
                writer.apply([outbox_event(f"new-{len(seen)}-{len(wanted)}", "deleted")])
            following = page.next_cursor
            if following is None:
                break
        assert seen == [f"p{n:02}" for n in reversed(range(30))]


def test_each_filter_and_several_together(catalogue, writer) -> None:
    found = [
        document("face", 1), document("object", 2, kind="object", detections=[]), document("broken", 3, "failed"),
        document("later", 4, filename="same.jpg"), document("latest", 5, "waiting", filename="same.jpg"),
    ]  # fmt: skip
    writer.apply([ended(each) for each in found])
    assert ids(catalogue, status="failed") == ["broken"]
    assert ids(catalogue, kind="object") == ["object"]
    assert ids(catalogue, category="dog") == ["latest", "later", "broken", "face"]
    assert ids(catalogue, category="automobile", kind="object") == ["object"]
    assert ids(catalogue, category="dog", status="failed", kind="face") == ["broken"]
    assert ids(catalogue, category="cat") == []
    assert ids(catalogue, filename="same.jpg") == ["latest", "later"]
    since, until = BEGAN + timedelta(seconds=2), BEGAN + timedelta(seconds=4)
    assert ids(catalogue, since=since, until=until) == ["broken", "object"]
    assert ids(catalogue, since=since, until=until, category="dog") == ["broken"]
    assert catalogue.counts() == {"completed": 3, "failed": 1, "waiting": 1}
    assert catalogue.newest_named("same.jpg")["image_id"] == "latest"
    assert catalogue.newest_named("other.jpg") is None


def test_content_is_found_unless_it_failed(catalogue, writer) -> None:
    writer.apply([*stream("a", 1), *stream("b", 2), *stream("c", 3, "failed")])
    assert catalogue.by_sha256(SHA.upper())["image_id"] == "b"
    assert catalogue.by_sha256("00" * 32) is None


@pytest.mark.parametrize("words", INJECTIONS)
def test_sql_in_a_filter_is_a_value_like_any_other(catalogue, writer, words) -> None:
    """It finds what is called so, and nothing else; also what no database can hold as it is."""
    writer.apply([*stream("a"), ended(document("b", 1, filename=words, detections=[{"label": words, "score": 1.0}]))])
    for name in ("filename", "category"):
        assert ids(catalogue, **{name: words}) == ["b"]
    assert ids(catalogue, status=words) == ids(catalogue, kind=words) == []
    for ask in (catalogue.picture, catalogue.by_sha256, catalogue.batch):
        assert ask(words) is None
    assert catalogue.newest_named(words)["image_id"] == "b"
    assert catalogue.task(words, 1) is None
    assert catalogue.picture("a") is not None


def test_a_task_shows_all_that_was_tried(catalogue, writer) -> None:
    writer.apply([*stream("a"), outbox_event("a", "processing", 2, **{"from": "tag"})])
    task = catalogue.task("a", 1)
    assert {**task, "history": len(task["history"])} == {
        "task_id": "a.1", "image_id": "a", "run": 1, "from": "resize", "status": "completed", "created_at": at(0),
        "finished_at": at(7), "reason": None, "history": 7,
    }  # fmt: skip
    assert task["history"][3] == {
        "stage": "detect", "attempt": 1, "state": "retrying", "worker": "detect_queue:detect-host:0123456789ab",
        "started": at(2.5), "finished": at(3), "ms": 4.5, "error": "no model: try again",
    }  # fmt: skip
    assert catalogue.task("a", 2)["status"] == "processing"
    assert catalogue.task("a", 3) is None


def test_a_batch_lists_its_pictures(catalogue, writer) -> None:
    writer.apply([*stream("a", 1, batch_id="b"), *stream("b", 2, "failed", batch_id="b"), *stream("c", 3)])
    said = catalogue.batch("b")
    assert said == {
        "batch_id": "b", "created_at": at(1), "total": 2, "counts": {"completed": 1, "failed": 1}, "done": True,
        "files": [{"image_id": "a", "filename": "a.jpg", "status": "completed"},
                  {"image_id": "b", "filename": "b.jpg", "status": "failed"}],
    }  # fmt: skip
    writer.apply(stream("d", 4, batch_id="b")[:1])
    assert catalogue.batch("b")["done"] is False
    assert catalogue.batch("no such") is None


def test_reading_takes_no_lock_of_a_writers(catalogue, catalogue_engine, writer) -> None:
    """A page is read while a writer is in the middle of a transaction, and shows nothing of it."""
    writer.apply(stream("a"))
    with writing(catalogue_engine) as connection:
        connection.execute(text("DELETE FROM image_info"))
        assert ids(catalogue) == ["a"]


def test_every_question_says_when_the_database_is_away(catalogue, catalogue_engine, writer) -> None:
    def fail(*_: object) -> None:
        raise OSError("no route")

    catalogue_engine.dispose()
    event.listen(catalogue_engine, "do_connect", fail, insert=True)
    questions = [
        catalogue.check, catalogue.counts, lambda: catalogue.pictures(Filter()), lambda: catalogue.picture("a"),
        lambda: catalogue.newest_named("a"), lambda: catalogue.by_sha256("a"), lambda: catalogue.task("a", 1),
        lambda: catalogue.batch("a"), lambda: catalogue.nearest_faces(np.ones(512, np.float32), 1),
        lambda: catalogue.expired(BEGAN, 1), lambda: writer.apply(stream("a")),
    ]  # fmt: skip
    for question in questions:
        with pytest.raises(Unavailable, match="DATABASE_URL"):
            question()

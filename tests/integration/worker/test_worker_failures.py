"""The worker loop, on a real Redis: what fails harms no other, and is retried, or dead-lettered with its reason."""

import time
from collections.abc import Sequence

from stageline.broker import keys, status
from stageline.broker.producer import Producer
from stageline.broker.redis_client import Call
from stageline.pipeline.message import MAX_BYTES, Message
from stageline.pipeline.stage import StageOutput, Task
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.worker_helpers import RESIZE, Recorder, handed_on, named

pytest_plugins = ("tests.support.worker_fixtures",)


def test_one_bad_item_fails_no_neighbour(work_through) -> None:
    """When a batch fails, each of it is tried alone: the good go on, the bad is retried by itself."""
    work = Recorder(batch_size=4, pause=0.05)
    names = ["a", "b", "bad", "c", "d", "e"]
    producer = work_through(
        work, named(*names), lambda producer: producer.depths()["resize"]["delayed"] + len(handed_on(producer)) == 6
    )
    assert sorted(handed_on(producer)) == ["a", "b", "c", "d", "e"]
    assert any(len(batch) > 1 for batch in work.batches), "batches were taken"
    assert ["bad"] in work.batches
    assert status.read(producer.client, "bad")["stages"]["resize"]["state"] == "retrying"
    assert producer.depths()["resize"] == {"waiting": 0, "in_flight": 0, "delayed": 1}


def test_what_no_retry_can_mend_is_dead_lettered_at_once(work_through, settings) -> None:
    """A rejected picture costs one attempt, and its results say failed, where and why."""
    producer = work_through(Recorder(), named("hopeless"), lambda producer: producer.client.llen("dead_letters") == 1)
    found = status.read(producer.client, "hopeless")
    assert (found["status"], found["reason"]) == ("failed", "not to be mended")
    store = FolderStore(settings.stageline_data / "images")
    assert b'"failed_stage": "resize"' in store.get("results/hopeless.json")
    assert producer.unfinished() == 0


def test_a_message_as_large_as_may_be_is_retried_and_dead_lettered(work_through) -> None:
    """There is no room for its history, nor at last for its attempt: it is dead-lettered, and its worker lives."""
    fill = MAX_BYTES - len(Message.of({**named("bad")[0], "original_path": "original/bad.jpg", "origin_w": 10,
                                       "origin_h": 10, "filler": ""}).raw)  # fmt: skip
    messages = [*named("bad", filler="x" * fill), *named("good")]

    def are_dead_lettered(producer: Producer) -> bool:
        producer.scripts.run(Call("release", delayed=keys.delayed_key(RESIZE.queue), queue=RESIZE.queue, most=10))
        return producer.client.llen("dead_letters") == 1 and handed_on(producer) == ["good"]

    producer = work_through(Recorder(), messages, are_dead_lettered, max_attempts=2, retry_base_seconds=0.05)
    assert status.read(producer.client, "bad")["status"] == "failed"


def test_a_bad_message_in_a_finished_pictures_name_harms_it_not(work_through, settings) -> None:
    """It is dead-lettered by its bytes alone: results and status of the picture stay; its own bad message fails it."""
    store = FolderStore(settings.stageline_data / "images")
    store.put(StoredObject("results/done.json", b"{}", "application/json"))

    def send(producer: Producer) -> bool:
        if not producer.client.llen("dead_letters"):
            producer.client.rpush(
                RESIZE.queue, *(b'{"image_id":"%s","original_path":7}' % name for name in (b"done", b"new"))
            )
        return producer.client.llen("dead_letters") >= 2

    producer = work_through(Recorder(), named("good"), send)
    assert store.get("results/done.json") == b"{}"
    assert status.read(producer.client, "done") is None
    assert status.read(producer.client, "new")["status"] == "failed"


def test_a_bad_message_fails_its_picture_where_the_id_can_be_read(work_through, settings) -> None:
    """It does not stay unfinished for ever: its status and its results say failed, its raw bytes are kept."""
    producer = work_through(Recorder(), named("a"), lambda producer: handed_on(producer) == ["a"])
    producer.accept(Message.of({"image_id": "half", "original_path": "original/half.jpg"}))
    raw = b'{"image_id": "half", "original_path": "original/half.jpg", "detections": "none"}'
    producer.client.lrem(RESIZE.queue, 1, Message.of({"image_id": "half", "original_path": "original/half.jpg"}).raw)
    producer.client.rpush(RESIZE.queue, raw)
    deadline = time.monotonic() + 60
    while (status.read(producer.client, "half") or {}).get("status") != "failed":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert b"detections must be a list" in FolderStore(settings.stageline_data / "images").get("results/half.json")
    assert producer.unfinished() == 1, "only a, which waits for the next stage"


class Overflowing(Recorder):
    """A work whose findings fit into no message."""

    def run(self, tasks: Sequence[Task]) -> list[StageOutput]:
        return [StageOutput((), {"note": "x" * 2_000_000 if t.message.image_id == "big" else 1}) for t in tasks]


def test_a_message_that_would_be_too_large_fails_its_picture_alone(work_through) -> None:
    """What no next worker would take is not handed on; the neighbours are."""
    producer = work_through(
        Overflowing(),
        named("a", "big", "b"),
        lambda producer: producer.client.llen("dead_letters") + len(handed_on(producer)) == 3,
    )
    assert sorted(handed_on(producer)) == ["a", "b"]
    assert status.read(producer.client, "big")["status"] == "failed"


def test_what_died_too_often_is_dead_lettered_unworked(work_through) -> None:
    """A message that comes back with more attempts than allowed is not tried again."""
    work = Recorder()
    producer = work_through(
        work, named("poison", attempt=4), lambda producer: producer.client.llen("dead_letters") == 1
    )
    assert work.batches == []
    assert "died" in status.read(producer.client, "poison")["reason"]

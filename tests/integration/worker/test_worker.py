"""The worker loop, on a real Redis: batches, strays, what is worked alone, stops and outages."""

import json
import threading
import time
from collections.abc import Sequence

import pytest

from stageline.broker import keys
from stageline.broker.producer import Producer
from stageline.broker.redis_client import connect
from stageline.pipeline.message import Message
from stageline.pipeline.stage import StageOutput, Task
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.worker_helpers import RESIZE, Recorder, handed_on, named

pytest_plugins = ("tests.support.worker_fixtures",)


@pytest.mark.parametrize("deleted", [False, True])
def test_what_was_stored_too_late_is_mended(work_through, settings, deleted) -> None:
    """Given away while it was being stored: the catalogue reads the bucket again; of a deleted one all is removed."""
    client = connect(settings.redis_url)

    class Slow(FolderStore):
        """Its worker's messages are given away, and a picture deleted, while it writes."""

        def put_all(self, items: Sequence[StoredObject]) -> None:
            super().put_all(items)
            if any(item.key == "results/late.json" for item in items):
                for key in client.keys("stageline:inflight:*"):
                    client.delete(key)
                if deleted:
                    Producer(settings.redis_url, 10).delete("late")

    def mended(producer: Producer) -> bool:
        said = json.loads(producer.client.lindex(keys.OUTCOMES, -1))
        if deleted:
            return said["status"] == "deleted" and list(FolderStore(settings.stageline_data / "images").keys("r")) == []
        return said["status"] == "waiting" and "document" not in said

    work_through(Recorder(), named("late", until="resize"), mended, kind=Slow)


def test_second_attempts_and_large_pictures_are_worked_alone(work_through) -> None:
    """While one of them is held, nothing else is: neither in a batch with it nor fetched behind it."""
    work = Recorder(batch_size=4, pause=0.02)
    messages = [
        *named("a", "b"),
        *named("again", attempt=2),
        *named("c", "d"),
        *named("large", origin_w=5000, origin_h=5000),
        *named("unknown", origin_w=None, origin_h=None),
        *named("e"),
    ]
    producer = work_through(work, messages, lambda producer: len(handed_on(producer)) == 8)
    for alone in ("again", "large", "unknown"):
        assert [alone] in work.batches
    order = handed_on(producer)
    assert [order.index(name) for name in ("again", "large", "unknown", "e")] == [2, 5, 6, 7]


def test_a_pop_whose_answer_was_lost_is_found_again(work_through, settings) -> None:
    """A message that is in the worker's own list without its knowing (a broken connection) is worked all the same."""
    work = Recorder()
    producer = work_through(work, named("a"), lambda producer: handed_on(producer) == ["a"])
    (identity,) = [member.decode() for member in producer.client.zrange(keys.WORKERS, 0, -1)]
    stray = Message.of({"image_id": "a", "original_path": "original/a.jpg", "note": "stray"})
    producer.client.rpush(keys.in_flight_key(identity), stray.raw)
    killer = connect(settings.redis_url)
    deadline = time.monotonic() + 60
    while len(handed_on(producer)) < 2:
        for client in killer.client_list():  # again and again: between two pops a broken connection goes unnoticed
            if client["id"] != str(killer.client_id()) and client["cmd"] == "blmove":
                killer.client_kill_filter(_id=client["id"])
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Gated(Recorder):
    """A work that waits with its third batch until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def run(self, tasks: Sequence[Task]) -> list[StageOutput]:
        if len(self.batches) >= 2:
            self.gate.wait(120)
        return super().run(tasks)


def test_a_worker_that_stops_gives_back_what_it_has_not_begun(work_through, running, stop_all) -> None:
    """Nothing is in flight after a stop; every picture is handed on or waits, first attempt still, in its order."""
    names = [f"p{n}" for n in range(10)]
    work = Gated()
    producer = work_through(work, named(*names), lambda producer: len(handed_on(producer)) >= 2)
    assert producer.depths()["resize"]["in_flight"] > 1
    running[0][0].stop()
    work.gate.set()
    stop_all()
    waiting = [Message.decode(raw) for raw in producer.client.lrange(RESIZE.queue, 0, -1)]
    assert producer.depths()["resize"]["in_flight"] == 0
    ids = [message.image_id for message in waiting]
    assert sorted(handed_on(producer) + ids) == names
    assert ids == sorted(ids)
    assert {message.attempt for message in waiting} == {1}
    assert producer.client.zcard(keys.WORKERS) == 0


def test_a_full_redis_is_waited_for(work_through, settings) -> None:
    """Out of memory, or a replica for a while: no crash, no attempt, and the worker goes on by itself."""
    producer = work_through(Recorder(), named("a"), lambda producer: handed_on(producer) == ["a"])
    try:
        producer.client.config_set("maxmemory", 1)
        time.sleep(3)
        producer.client.config_set("maxmemory", 0)
        producer.client.replicaof("127.0.0.1", "9")
        time.sleep(3)
    finally:
        producer.client.config_set("maxmemory", 0)
        producer.client.replicaof("NO", "ONE")
    raw = Message.of({"image_id": "b", "original_path": "original/a.jpg", "origin_w": 9, "origin_h": 9}).raw
    producer.client.rpush(RESIZE.queue, raw)
    deadline = time.monotonic() + 60
    while "b" not in handed_on(producer):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {Message.decode(raw).attempt for raw in producer.client.lrange("grayscale_queue", 0, -1)} == {1}


def test_stopping_while_the_store_is_away_costs_no_attempt(work_through, stop_all, settings) -> None:
    """What was worked on and cannot be stored is given back, and waits as a first attempt."""
    bucket = settings.stageline_data / "images"

    class Breaking(Recorder):
        def run(self, tasks: Sequence[Task]) -> list[StageOutput]:
            bucket.rename(bucket.with_name("away"))
            bucket.write_text("a file where the folder was: nothing can be stored")
            return super().run(tasks)

    work = Breaking()
    producer = work_through(work, named("a"), lambda _producer: len(work.batches) == 1, shutdown_seconds=5.0)
    stop_all()
    (message,) = [Message.decode(raw) for raw in producer.client.lrange(RESIZE.queue, 0, -1)]
    assert (message.image_id, message.attempt) == ("a", 1)

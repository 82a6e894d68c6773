"""The worker loop, on a real Redis: batches, neighbours, strays, and what is worked alone."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from stageline import keys, line, status
from stageline.errors import Rejected
from stageline.message import MAX_BYTES, Message
from stageline.queue import Door
from stageline.redis_client import Call, connect
from stageline.settings import Settings
from stageline.stage import Outcome, StoredObject, Task
from stageline.store import FolderStore
from stageline.worker import Worker

RESIZE = line.stage("resize")


class Recorder:
    """A work that notes every batch, and fails where a picture's name says so."""

    def __init__(self, batch_size: int = 1, pause: float = 0.0) -> None:
        self.batch_size = batch_size
        self.batches: list[list[str]] = []
        self._pause = pause

    def inputs(self, message: Message) -> dict[str, str]:
        return {"original": message.original_path}

    def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        names = [task.message.image_id for task in tasks]
        self.batches.append(names)
        time.sleep(self._pause)
        if any(name.startswith("bad") for name in names):
            raise ValueError("a bad one")
        if any(name.startswith("hopeless") for name in names):
            raise Rejected("not to be mended")
        made = [StoredObject(f"resized/{name}.jpg", b"small", "image/jpeg") for name in names]
        return [Outcome([each], {"path": each.key}) for each in made]


@pytest.fixture
def running() -> list[tuple[Worker, threading.Thread]]:
    return []


@pytest.fixture
def stop_all(running) -> Callable[[], None]:
    """Stop every worker, and see it end."""

    def stop() -> None:
        for worker, thread in running:
            worker.stop()
            thread.join(60)
            assert not thread.is_alive()

    return stop


@pytest.fixture
def work_through(settings: Settings, running, stop_all) -> Iterator[Callable[..., Door]]:
    """Queue pictures, and let a worker run over them until a condition holds; return the door."""

    def run(
        work: Recorder, messages: Sequence[dict], until: Callable[[Door], bool], kind=FolderStore, **changed
    ) -> Door:
        found = settings.model_copy(update=changed)
        store = kind(found.stageline_data / "images")
        door = Door(found.redis_url, 1000)
        for fields in messages:
            path = f"original/{fields['image_id']}.jpg"
            store.put(StoredObject(path, b"picture", "image/jpeg"))
            full = {"original_path": path, "origin_w": 10, "origin_h": 10, **fields}
            assert door.accept(Message.of(full))
        worker = Worker(RESIZE, work, store, found)
        thread = threading.Thread(target=worker.run, daemon=True)
        running.append((worker, thread))
        thread.start()
        deadline = time.monotonic() + 60
        while not until(door):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return door

    yield run
    stop_all()


def handed_on(door: Door) -> list[str]:
    return [Message.decode(raw).image_id for raw in door.client.lrange("grayscale_queue", 0, -1)]


def named(*names: str, **more) -> list[dict]:
    return [{"image_id": name, **more} for name in names]


def test_one_bad_item_fails_no_neighbour(work_through) -> None:
    """When a batch fails, each of it is tried alone: the good go on, the bad is retried by itself."""
    work = Recorder(batch_size=4, pause=0.05)
    names = ["a", "b", "bad", "c", "d", "e"]
    door = work_through(
        work, named(*names), lambda door: door.depths()["resize"]["delayed"] + len(handed_on(door)) == 6
    )
    assert sorted(handed_on(door)) == ["a", "b", "c", "d", "e"]
    assert any(len(batch) > 1 for batch in work.batches), "batches were taken"
    assert ["bad"] in work.batches
    assert status.read(door.client, "bad")["stages"]["resize"]["state"] == "retrying"
    assert door.depths()["resize"] == {"waiting": 0, "in_flight": 0, "delayed": 1}


def test_what_no_retry_can_mend_is_buried_at_once(work_through, settings) -> None:
    """A rejected picture costs one attempt, and its results say failed, where and why."""
    door = work_through(Recorder(), named("hopeless"), lambda door: door.client.llen("dead_letters") == 1)
    found = status.read(door.client, "hopeless")
    assert (found["status"], found["reason"]) == ("failed", "not to be mended")
    store = FolderStore(settings.stageline_data / "images")
    assert b'"failed_stage": "resize"' in store.get("results/hopeless.json")
    assert door.unfinished() == 0


def test_a_message_as_large_as_may_be_is_retried_and_buried(work_through) -> None:
    """There is no room for its history, nor at last for its attempt: it is buried, and its worker lives."""
    fill = MAX_BYTES - len(Message.of({**named("bad")[0], "original_path": "original/bad.jpg", "origin_w": 10,
                                       "origin_h": 10, "filler": ""}).raw)  # fmt: skip
    messages = [*named("bad", filler="x" * fill), *named("good")]

    def buried(door: Door) -> bool:
        door.scripts.run(Call("release", [keys.delayed_key(RESIZE.queue), RESIZE.queue], [10]))
        return door.client.llen("dead_letters") == 1 and handed_on(door) == ["good"]

    door = work_through(Recorder(), messages, buried, max_attempts=2, retry_base_seconds=0.05)
    assert status.read(door.client, "bad")["status"] == "failed"


def test_a_bad_message_in_a_finished_pictures_name_harms_it_not(work_through, settings) -> None:
    """It is buried by its bytes alone: the picture's results and its status stay; its own bad message does fail it."""
    store = FolderStore(settings.stageline_data / "images")
    store.put(StoredObject("results/done.json", b"{}", "application/json"))

    def send(door: Door) -> bool:
        if not door.client.llen("dead_letters"):
            door.client.rpush(
                RESIZE.queue, *(b'{"image_id":"%s","original_path":7}' % name for name in (b"done", b"new"))
            )
        return door.client.llen("dead_letters") >= 2

    door = work_through(Recorder(), named("good"), send)
    assert store.get("results/done.json") == b"{}"
    assert status.read(door.client, "done") is None
    assert status.read(door.client, "new")["status"] == "failed"


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
                    Door(settings.redis_url, 10).delete("late")

    def mended(door: Door) -> bool:
        said = json.loads(door.client.lindex(keys.OUTCOMES, -1))
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
    door = work_through(work, messages, lambda door: len(handed_on(door)) == 8)
    for alone in ("again", "large", "unknown"):
        assert [alone] in work.batches
    order = handed_on(door)
    assert [order.index(name) for name in ("again", "large", "unknown", "e")] == [2, 5, 6, 7]


def test_a_pop_whose_answer_was_lost_is_found_again(work_through, settings) -> None:
    """A message that is in the worker's own list without its knowing (a broken connection) is worked all the same."""
    work = Recorder()
    door = work_through(work, named("a"), lambda door: handed_on(door) == ["a"])
    (identity,) = [member.decode() for member in door.client.zrange(keys.WORKERS, 0, -1)]
    stray = Message.of({"image_id": "a", "original_path": "original/a.jpg", "note": "stray"})
    door.client.rpush(keys.in_flight_key(identity), stray.raw)
    killer = connect(settings.redis_url)
    deadline = time.monotonic() + 60
    while len(handed_on(door)) < 2:
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

    def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        if len(self.batches) >= 2:
            self.gate.wait(120)
        return super().run(tasks)


def test_a_worker_that_stops_gives_back_what_it_has_not_begun(work_through, running, stop_all) -> None:
    """Nothing is in flight after a stop; every picture is handed on or waits, first attempt still, in its order."""
    names = [f"p{n}" for n in range(10)]
    work = Gated()
    door = work_through(work, named(*names), lambda door: len(handed_on(door)) >= 2)
    assert door.depths()["resize"]["in_flight"] > 1
    running[0][0].stop()
    work.gate.set()
    stop_all()
    waiting = [Message.decode(raw) for raw in door.client.lrange(RESIZE.queue, 0, -1)]
    assert door.depths()["resize"]["in_flight"] == 0
    ids = [message.image_id for message in waiting]
    assert sorted(handed_on(door) + ids) == names
    assert ids == sorted(ids)
    assert {message.attempt for message in waiting} == {1}
    assert door.client.zcard(keys.WORKERS) == 0


def test_a_bad_message_fails_its_picture_where_the_id_can_be_read(work_through, settings) -> None:
    """It does not stay unfinished for ever: its status and its results say failed, its raw bytes are kept."""
    door = work_through(Recorder(), named("a"), lambda door: handed_on(door) == ["a"])
    door.accept(Message.of({"image_id": "half", "original_path": "original/half.jpg"}))
    raw = b'{"image_id": "half", "original_path": "original/half.jpg", "detections": "none"}'
    door.client.lrem(RESIZE.queue, 1, Message.of({"image_id": "half", "original_path": "original/half.jpg"}).raw)
    door.client.rpush(RESIZE.queue, raw)
    deadline = time.monotonic() + 60
    while (status.read(door.client, "half") or {}).get("status") != "failed":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert b"detections must be a list" in FolderStore(settings.stageline_data / "images").get("results/half.json")
    assert door.unfinished() == 1, "only a, which waits for the next stage"


class Overflowing(Recorder):
    """A work whose findings fit into no message."""

    def run(self, tasks: Sequence[Task]) -> list[Outcome]:
        return [Outcome((), {"note": "x" * 2_000_000 if t.message.image_id == "big" else 1}) for t in tasks]


def test_a_message_that_would_be_too_large_fails_its_picture_alone(work_through) -> None:
    """What no next worker would take is not handed on; the neighbours are."""
    door = work_through(
        Overflowing(),
        named("a", "big", "b"),
        lambda door: door.client.llen("dead_letters") + len(handed_on(door)) == 3,
    )
    assert sorted(handed_on(door)) == ["a", "b"]
    assert status.read(door.client, "big")["status"] == "failed"


def test_what_died_too_often_is_buried_unworked(work_through) -> None:
    """A message that comes back with more attempts than allowed is not tried again."""
    work = Recorder()
    door = work_through(work, named("poison", attempt=4), lambda door: door.client.llen("dead_letters") == 1)
    assert work.batches == []
    assert "died" in status.read(door.client, "poison")["reason"]


def test_a_full_redis_is_waited_for(work_through, settings) -> None:
    """Out of memory, or a replica for a while: no crash, no attempt, and the worker goes on by itself."""
    door = work_through(Recorder(), named("a"), lambda door: handed_on(door) == ["a"])
    try:
        door.client.config_set("maxmemory", 1)
        time.sleep(3)
        door.client.config_set("maxmemory", 0)
        door.client.replicaof("127.0.0.1", "9")
        time.sleep(3)
    finally:
        door.client.config_set("maxmemory", 0)
        door.client.replicaof("NO", "ONE")
    raw = Message.of({"image_id": "b", "original_path": "original/a.jpg", "origin_w": 9, "origin_h": 9}).raw
    door.client.rpush(RESIZE.queue, raw)
    deadline = time.monotonic() + 60
    while "b" not in handed_on(door):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert {Message.decode(raw).attempt for raw in door.client.lrange("grayscale_queue", 0, -1)} == {1}


def test_stopping_while_the_store_is_away_costs_no_attempt(work_through, stop_all, settings) -> None:
    """What was worked on and cannot be stored is given back, and waits as a first attempt."""
    bucket = settings.stageline_data / "images"

    class Breaking(Recorder):
        def run(self, tasks: Sequence[Task]) -> list[Outcome]:
            bucket.rename(bucket.with_name("away"))
            bucket.write_text("a file where the folder was: nothing can be stored")
            return super().run(tasks)

    work = Breaking()
    door = work_through(work, named("a"), lambda _door: len(work.batches) == 1, shutdown_seconds=5.0)
    stop_all()
    (message,) = [Message.decode(raw) for raw in door.client.lrange(RESIZE.queue, 0, -1)]
    assert (message.image_id, message.attempt) == ("a", 1)

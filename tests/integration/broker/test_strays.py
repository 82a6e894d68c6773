"""Messages that Redis gave to a worker which never heard of it: none is stuck while the worker lives."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from stageline.broker.keys import in_flight_key
from stageline.broker.producer import Producer
from stageline.broker.redis_client import scripts
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.pipeline.stage import StageOutput, Task
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from stageline.worker.loop import Worker
from tests.support.cutting_proxy import CuttingProxy
from tests.support.served_api import until

RESIZE, NEXT = line.stage("resize"), "grayscale_queue"


class Quick:
    """A work that makes something of every picture."""

    batch_size = 4

    def inputs(self, message: Message) -> dict[str, str]:
        return {"original": message.original_path}

    def run(self, tasks: Sequence[Task]) -> list[StageOutput]:
        made = [StoredObject(f"resized/{task.message.image_id}.jpg", b"small", "image/jpeg") for task in tasks]
        return [StageOutput([each], {"path": each.key}) for each in made]


@pytest.fixture
def proxy(settings: Settings) -> Iterator[CuttingProxy]:
    found = CuttingProxy(int(settings.redis_url.rpartition(":")[2].partition("/")[0]))
    yield found
    found.close()


@pytest.fixture
def store(settings: Settings) -> FolderStore:
    return FolderStore(settings.stageline_data / "images")


@pytest.fixture
def worker(settings: Settings, store: FolderStore, proxy: CuttingProxy) -> Iterator[Worker]:
    """A worker that reaches Redis by the proxy; it runs once it is started."""
    found = Worker(RESIZE, Quick(), store, settings.model_copy(update={"redis_url": proxy.url}))
    thread = threading.Thread(target=found.run, daemon=True)
    found.start = thread.start
    yield found
    found.stop()
    thread.join(60)
    assert not thread.is_alive()


def message(store: FolderStore, name: str) -> Message:
    path = f"original/{name}.jpg"
    store.put(StoredObject(path, b"picture", "image/jpeg"))
    return Message.of({"image_id": name, "original_path": path, "origin_w": 10, "origin_h": 10})


def handed_on(producer: Producer) -> list[str]:
    return sorted(Message.decode(raw).image_id for raw in producer.client.lrange(NEXT, 0, -1))


@pytest.mark.parametrize("only_once", [False, True])
def test_what_was_taken_while_the_answer_was_lost_is_worked_on(
    settings: Settings, store: FolderStore, proxy: CuttingProxy, worker: Worker, *, only_once: bool
) -> None:
    """A worker takes several at once, again and again, and never hears which: all are worked on, once, soon after."""
    producer = Producer(settings.redis_url, 100)
    names = [f"{number:02}" for number in range(40)]
    for name in names:
        assert producer.accept(message(store, name))
    proxy.cut(scripts()["take_more"].sha, only_once=only_once)
    worker.start()
    until(lambda: proxy.cuts > (0 if only_once else 2))
    proxy.mend()
    until(lambda: len(handed_on(producer)) >= len(names))
    assert handed_on(producer) == names
    assert producer.depths()["resize"] == {"waiting": 0, "in_flight": 0, "delayed": 0}


def test_what_is_popped_long_after_its_client_hung_up_is_worked_on(
    settings: Settings, store: FolderStore, worker: Worker
) -> None:
    """The server may not know yet that a waiting client is gone, and pops for it: the worker gets no error."""
    producer = Producer(settings.redis_url, 100)
    worker.start()
    assert producer.accept(message(store, "a"))
    until(lambda: handed_on(producer) == ["a"])
    producer.client.rpush(in_flight_key(worker.consumer.identity), message(store, "b").raw)  # as that pop does
    until(lambda: handed_on(producer) == ["a", "b"])
    assert producer.depths()["resize"] == {"waiting": 0, "in_flight": 0, "delayed": 0}

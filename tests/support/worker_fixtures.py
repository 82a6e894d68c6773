"""A worker that runs over queued pictures, on a real Redis: name this module in ``pytest_plugins``."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from stageline.broker.producer import Producer
from stageline.core.settings import Settings
from stageline.pipeline.message import Message
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from stageline.worker.loop import Worker
from tests.support.worker_helpers import RESIZE, Recorder


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
def work_through(settings: Settings, running, stop_all) -> Iterator[Callable[..., Producer]]:
    """Queue pictures, and let a worker run over them until a condition holds; return the producer."""

    def run(
        work: Recorder, messages: Sequence[dict], until: Callable[[Producer], bool], kind=FolderStore, **changed
    ) -> Producer:
        found = settings.model_copy(update=changed)
        store = kind(found.stageline_data / "images")
        producer = Producer(found.redis_url, 1000)
        for fields in messages:
            path = f"original/{fields['image_id']}.jpg"
            store.put(StoredObject(path, b"picture", "image/jpeg"))
            full = {"original_path": path, "origin_w": 10, "origin_h": 10, **fields}
            assert producer.accept(Message.of(full))
        worker = Worker(RESIZE, work, store, found)
        thread = threading.Thread(target=worker.run, daemon=True)
        running.append((worker, thread))
        thread.start()
        deadline = time.monotonic() + 60
        while not until(producer):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return producer

    yield run
    stop_all()

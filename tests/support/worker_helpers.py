"""A work that the tests of the worker let it do, and what came of it."""

import time
from collections.abc import Sequence

from stageline.broker.producer import Producer
from stageline.core.errors import Rejected
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.pipeline.stage import StageOutput, Task
from stageline.store.base import StoredObject

RESIZE = line.stage("resize")


class Recorder:
    """A work that notes every batch, and fails where a picture's name says so."""

    def __init__(self, batch_size: int = 1, pause: float = 0.0) -> None:
        self.batch_size = batch_size
        self.batches: list[list[str]] = []
        self._pause = pause

    def inputs(self, message: Message) -> dict[str, str]:
        return {"original": message.original_path}

    def run(self, tasks: Sequence[Task]) -> list[StageOutput]:
        names = [task.message.image_id for task in tasks]
        self.batches.append(names)
        time.sleep(self._pause)
        if any(name.startswith("bad") for name in names):
            raise ValueError("a bad one")
        if any(name.startswith("hopeless") for name in names):
            raise Rejected("not to be mended")
        made = [StoredObject(f"resized/{name}.jpg", b"small", "image/jpeg") for name in names]
        return [StageOutput([each], {"path": each.key}) for each in made]


def handed_on(producer: Producer) -> list[str]:
    return [Message.decode(raw).image_id for raw in producer.client.lrange("grayscale_queue", 0, -1)]


def named(*names: str, **more) -> list[dict]:
    return [{"image_id": name, **more} for name in names]

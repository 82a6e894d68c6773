"""The whole chain in one process, without servers: it calls the same functions as the services."""

import time
from collections.abc import Mapping
from typing import Any

from stageline.core import logs
from stageline.core.settings import Settings
from stageline.pipeline import first_message, line, results
from stageline.pipeline.message import Message
from stageline.pipeline.stage import Task, Work
from stageline.registry.serving import load_once
from stageline.store.base import StoredObject
from stageline.worker.in_flight import Item

WORKER = "monolith"
Made = dict[str, StoredObject]  # the objects of a picture, by key


class Monolith:
    """Runs every stage's work, loaded once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._works: Mapping[line.Stage, Work] = {stage: stage.load(settings) for stage in line.LINE}
        self.models = [model for work in self._works.values() for model in work.models]
        watch = load_once(self.models, settings, WORKER)
        if watch.away:
            logs.get().warning("models missing", reason=watch.away, how_to_get_them="make models")

    def run(self, data: bytes, filename: str, *, guessed: bool = False) -> tuple[Message, Mapping[str, StoredObject]]:
        """Run one picture through all stages; return its last message, and all objects by key.

        ``guessed``: whether the encoding of its name was guessed.

        Raises:
            BadImage: it is not a picture that the line takes.
        """
        more = {"filename_guessed": True} if guessed else {}
        message, original = take_in(data, filename, self._settings.max_image_pixels, more)
        made = {original.key: original}
        for stage, work in self._works.items():
            message = step(stage, work, message, made)
        document = results.stored(results.document(message, "completed"))
        return message, {**made, document.key: document}


def take_in(
    data: bytes, filename: str, max_pixels: int, more: Mapping[str, Any] | None = None
) -> tuple[Message, StoredObject]:
    """Check and name a picture as the API does; return its first message, and the original.

    Raises:
        BadImage: it is not a picture that the line takes.
    """
    return first_message.take_in(data, filename, "", max_pixels, more=more)


def step(stage: line.Stage, work: Work, message: Message, made: Made) -> Message:
    """Run a stage's work on one picture; add its objects to `made`; return the next stage's message."""
    item = Item(message)
    inputs = {name: made[key].data for name, key in work.inputs(message).items()}
    began = time.monotonic()
    (item.output,) = work.run([Task(message, inputs)])
    item.work_seconds = time.monotonic() - began
    made |= {stored.key: stored for stored in item.output.objects}
    return message.successor(stage.name, item.entry("done", WORKER), item.output.fields)

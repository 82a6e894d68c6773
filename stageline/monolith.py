"""The whole chain in one process, with no servers: the very functions that the services run."""

import time
from collections.abc import Callable, Mapping
from importlib import import_module

from stageline import line, logs, results
from stageline.item import Item
from stageline.message import Message
from stageline.serving import load_once
from stageline.settings import Settings
from stageline.stage import StoredObject, Task, Work

WORKER = "monolith"


class Monolith:
    """Every stage's work, loaded once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._works: Mapping[line.Stage, Work] = {stage: stage.load(settings) for stage in line.LINE}
        self.models = [model for work in self._works.values() for model in work.models]
        watch = load_once(self.models, settings, WORKER)
        if watch.away:
            logs.get().warning("models missing", reason=watch.away, how_to_get_them="make models")
        uploads = import_module(f"{line.DOOR_PACKAGE}.uploads")
        self._take_in: Callable[..., tuple[Message, StoredObject]] = uploads.take_in

    def run(self, data: bytes, filename: str, *, guessed: bool = False) -> tuple[Message, Mapping[str, StoredObject]]:
        """Send one picture through; return its last message, and everything that was made, by key.

        ``guessed``: the encoding of its name was a guess.

        Raises:
            BadImage: it is not a picture that the line takes.
        """
        more = {"filename_guessed": True} if guessed else {}
        message, original = self._take_in(data, filename, "", self._settings.max_image_pixels, more=more)
        made = {original.key: original}
        for stage, work in self._works.items():
            item = Item(message)
            inputs = {name: made[key].data for name, key in work.inputs(message).items()}
            began = time.monotonic()
            (item.outcome,) = work.run([Task(message, inputs)])
            item.work_seconds = time.monotonic() - began
            made |= {stored.key: stored for stored in item.outcome.objects}
            message = message.successor(stage.name, item.entry("done", WORKER), item.outcome.fields)
        document = results.stored(results.document(message, "completed"))
        return message, {**made, document.key: document}

"""Finding pictures that were stored and then forgotten, as when Redis lost its data."""

from collections.abc import Iterator

from stageline import logs, status
from stageline.message import KEY, Message
from stageline.queue import Door
from stageline.store import ObjectStore


def lost_pictures(store: ObjectStore, door: Door) -> Iterator[Message]:
    """Yield, as messages ready to queue, the originals that have neither a status nor results.

    Raises:
        Unavailable: Redis or the object store is away.
    """
    finished = {key.removeprefix("results/").removesuffix(".json") for key in store.keys("results/")}
    for key in store.keys("original/"):
        name = key.removeprefix("original/")
        if not KEY.fullmatch(key):
            logs.get().warning("skipped", key=key, reason="this name is no picture's key: rename it to <id>.<ending>")
            continue
        image_id = name.rsplit(".", 1)[0]
        if image_id not in finished and status.read(door.client, image_id) is None:
            yield Message.of({"image_id": image_id, "filename": name, "original_path": key, "attempt": 1})

"""The producer's side of the queues: accept a picture, send it again, delete it, and count what waits."""

from typing import cast

import redis

from stageline.broker import transitions
from stageline.broker.keys import UNFINISHED, WORKERS, content_key, delayed_key, in_flight_key, name_key, queue_of
from stageline.broker.redis_client import Call, Given, Result, Scripts, connect, reaching_redis
from stageline.pipeline import line
from stageline.pipeline.message import Message

CONTENT_SECONDS = 86_400  # for which a picture's content is remembered, to detect duplicates
TOMBSTONE_SECONDS = 30 * 86_400  # of a picture deleted while in progress: longer than any message waits


class Producer:
    """Puts pictures on the line's queues; it counts and deletes them too."""

    def __init__(self, url: str, max_unfinished: int, status_ttl: int = 3600) -> None:
        self.client = connect(url)
        self.scripts = Scripts(self.client)
        self._most = max_unfinished
        self._ttl = status_ttl

    def accept(self, message: Message, *, limited: bool = True, dedupe: bool = False) -> str | None:
        """Queue a picture and open its status, in one transition that may be repeated.

        Returns:
            Its id; with ``dedupe`` the id of a picture of the same content that has not failed, if there is one; None
            when the line is full.
        """
        sha256, filename = (None if message.is_probe else message.fields.get(name) for name in ("sha256", "filename"))
        keys = {"queue": line.LINE[0].queue, "content": content_key(sha256), "name": name_key(filename)}
        args: Given = {"image_id": message.image_id, "message": message.raw, "most": self._most if limited else 0}
        kept = {"content_seconds": CONTENT_SECONDS, "name_seconds": self._ttl}
        effects = transitions.accepted(message).given()
        image_id = self.scripts.run(Call("accept", dedupe=int(dedupe), **keys, **args, **kept, **effects))
        return None if image_id is None else cast("bytes", image_id).decode()

    def send_again(self, message: Message, stage: line.Stage) -> Result:
        """Queue a picture's next run at a stage; return SENT, MOVING, CHANGED (another request was first) or FULL."""
        args: Given = {"message": message.raw, "most": self._most, "run_before": message.run - 1}
        effects = transitions.sent_again(message, stage.name).given()
        step = Call("send_again", queue=stage.queue, image_id=message.image_id, **args, **effects)
        return Result(self.scripts.run(step))

    def delete(
        self, image_id: str, sha256: str | None = None, filename: str | None = None, *, probe: bool = False
    ) -> None:
        """Delete a picture's state; the worker that holds the picture, or takes it next, drops its message."""
        keys = {"content": content_key(sha256), "name": name_key(filename)}
        kept = {"kept_seconds": self._ttl, "kept_seconds_moving": TOMBSTONE_SECONDS}
        effects = transitions.deleted(image_id, probe=probe)
        self.scripts.run(Call("delete", image_id=image_id, **keys, **kept, **effects.given()))

    def newest_named(self, filename: str) -> str | None:
        """Return the id of the newest picture of that name that came within the last STATUS_TTL seconds, or None."""
        with reaching_redis():
            found = cast("bytes | None", self.client.get(name_key(filename)))
        return found.decode() if found else None

    def depths(self) -> dict[str, dict[str, int]]:
        """Count each stage's messages: waiting, in_flight and delayed."""
        with reaching_redis():
            return _depths(self.client)

    def unfinished(self) -> int:
        """Count the accepted pictures that are not finished."""
        with reaching_redis():
            return int(self.client.zcard(UNFINISHED))


def _depths(client: redis.Redis) -> dict[str, dict[str, int]]:
    identities = [member.decode() for member in cast("list[bytes]", client.zrange(WORKERS, 0, -1))]
    pipe = client.pipeline(transaction=False)
    for stage in line.LINE:
        pipe.llen(stage.queue)
        pipe.zcard(delayed_key(stage.queue))
    for identity in identities:
        pipe.llen(in_flight_key(identity))
    counts = pipe.execute()
    held = dict.fromkeys((stage.queue for stage in line.LINE), 0)
    for identity, count in zip(identities, counts[2 * len(line.LINE) :], strict=True):
        held[queue_of(identity)] = held.get(queue_of(identity), 0) + count
    return {
        stage.name: {"waiting": counts[2 * i], "in_flight": held[stage.queue], "delayed": counts[2 * i + 1]}
        for i, stage in enumerate(line.LINE)
    }

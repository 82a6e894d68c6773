"""The producer's side of the queues: accept a picture, send it again, delete it, and count what waits."""

from typing import cast

import redis

from stageline.broker import transitions
from stageline.broker.keys import UNFINISHED, WORKERS, content_key, delayed_key, in_flight_key, name_key, queue_of
from stageline.broker.redis_client import Call, Given, Result, Scripts, connect, reaching_redis
from stageline.pipeline import line
from stageline.pipeline.message import Message

CONTENT_SECONDS = 86_400  # that a picture's content is remembered, for those who want no duplicates
TOMBSTONE_SECONDS = 30 * 86_400  # of a picture deleted on its way: longer than any message waits


class Producer:
    """The producer's side: accepting a picture, and the depth of every queue."""

    def __init__(self, url: str, max_unfinished: int, status_ttl: int = 3600) -> None:
        self.client = connect(url)
        self.scripts = Scripts(self.client)
        self._most = max_unfinished
        self._ttl = status_ttl

    def is_full(self) -> bool:
        """Whether as many accepted pictures are unfinished as the line takes."""
        with reaching_redis():
            return int(self.client.zcard(UNFINISHED)) >= self._most

    def accept(self, message: Message, *, limited: bool = True, dedupe: bool = False) -> str | None:
        """Queue a picture and open its status, in one step that may be repeated.

        Returns:
            Its id; with ``dedupe`` the id of another that has the same content, where there is one and it has not
            failed; None when the line is full.
        """
        own = {name: None if message.is_probe else message.fields.get(name) for name in ("sha256", "filename")}
        step = Call(
            "accept",
            queue=line.LINE[0].queue,
            content=content_key(own["sha256"]),
            name=name_key(own["filename"]),
            image_id=message.image_id,
            message=message.raw,
            most=self._most if limited else 0,
            dedupe=int(dedupe),
            content_seconds=CONTENT_SECONDS,
            name_seconds=self._ttl,
            **transitions.accepted(message).given(),
        )
        there = self.scripts.run(step)
        return None if there is None else cast("bytes", there).decode()

    def send_again(self, message: Message, stage: line.Stage) -> Result:
        """Queue a picture's next run at a stage: SENT, MOVING, CHANGED (by somebody, meanwhile) or FULL."""
        args: Given = {
            "image_id": message.image_id,
            "message": message.raw,
            "most": self._most,
            "run_before": message.run - 1,
        }
        effects = transitions.sent_again(message, stage.name)
        return Result(self.scripts.run(Call("send_again", queue=stage.queue, **args, **effects.given())))

    def delete(
        self, image_id: str, sha256: str | None = None, filename: str | None = None, *, probe: bool = False
    ) -> None:
        """Forget a picture; one that is still on its way is dropped by the worker that holds it, or takes it next."""
        keys = {"content": content_key(sha256), "name": name_key(filename)}
        kept = {"kept_seconds": self._ttl, "kept_seconds_moving": TOMBSTONE_SECONDS}
        effects = transitions.deleted(image_id, probe=probe)
        self.scripts.run(Call("delete", image_id=image_id, **keys, **kept, **effects.given()))

    def newest_named(self, filename: str) -> str | None:
        """Return the id of the newest picture of that name, where it came within the last STATUS_TTL seconds."""
        with reaching_redis():
            found = cast("bytes | None", self.client.get(name_key(filename)))
        return found.decode() if found else None

    def depths(self) -> dict[str, dict[str, int]]:
        """Count each stage's messages: waiting, in_flight and delayed."""
        with reaching_redis():
            return depths(self.client)

    def unfinished(self) -> int:
        """Count the accepted pictures that are not finished."""
        with reaching_redis():
            return int(self.client.zcard(UNFINISHED))


def depths(client: redis.Redis) -> dict[str, dict[str, int]]:
    """Count each stage's waiting, in-flight and delayed messages."""
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

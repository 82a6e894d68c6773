"""The queue: plain Redis lists, and around them what a plain BLPOP lacks: nothing taken is ever lost.

A worker waits with BLMOVE, which leaves a copy in its own in-flight list until one atomic step hands the
message on. Its lease is its last heartbeat by the server's clock; what a worker held when its lease ran
out goes back to the queue (see stageline.housekeeper).
"""

import random
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import redis

from stageline import line
from stageline.keys import (
    DEAD_COUNTS,
    DEAD_LETTERS,
    UNFINISHED,
    WORKERS,
    delayed_key,
    in_flight_key,
    queue_of,
    status_key,
)
from stageline.message import Message
from stageline.redis_client import Call, Scripts, connect, reaching_redis
from stageline.status import StatusFields


def new_identity(queue: str, label: str) -> str:
    """Name one start of a worker process; a restart under its old label is somebody else."""
    return f"{queue}:{re.sub(r'[^A-Za-z0-9_.-]', '-', label)[:48]}:{uuid.uuid4().hex[:12]}"


def back_off(attempt: int, base: float, cap: float) -> float:
    """Seconds to wait before the next attempt: doubled each time, capped, with full jitter in its upper half."""
    longest = min(cap, base * 2 ** min(attempt - 1, 30))
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads retries, guards nothing


class Consumer:
    """One worker's side of a queue. Every step that moves a message does nothing unless the worker still holds it."""

    def __init__(self, url: str, stage: line.Stage, label: str, status_ttl: int) -> None:
        self.stage = stage
        self.identity = new_identity(stage.queue, label)
        self._list = in_flight_key(self.identity)
        self._ttl = status_ttl
        self.client = connect(url)
        self._blocking = connect(url, retries=0)  # a repeated BLMOVE would take a second message
        self.scripts = Scripts(self.client)

    def beat(self, lease_seconds: float) -> bool:
        """Renew the lease; False when it had run out, so that what was held may have been given away."""
        return bool(self.scripts.run(Call("beat", [WORKERS], [self.identity, lease_seconds])))

    def leave(self) -> None:
        """Give up the lease, after the last message was handed on."""
        self.scripts.run(Call("forget", [WORKERS, self._list], [self.identity, 0]))

    def take(self, timeout: float) -> bytes | None:
        """Wait up to ``timeout`` seconds for a message; it is in flight from the moment it leaves the queue."""
        with reaching_redis():
            raw = self._blocking.execute_command(  # type: ignore[no-untyped-call]
                "BLMOVE", self.stage.queue, self._list, "LEFT", "RIGHT", timeout
            )
            return cast("bytes | None", raw)

    def take_more(self, most: int) -> list[bytes]:
        """Take up to ``most`` more messages, and no more than half of what waits; never wait."""
        return list(self.scripts.run(Call("take_more", [self.stage.queue, self._list], [most]))) if most > 0 else []

    def held(self) -> list[bytes]:
        """List what is in this worker's in-flight list; after a broken connection more than it knows of."""
        with reaching_redis():
            return cast("list[bytes]", self.client.lrange(self._list, 0, -1))

    def begin(self, messages: Sequence[tuple[Message, StatusFields]]) -> None:
        """Note that work on the messages has begun."""
        calls = [
            Call("begin", [self._list, status_key(message.image_id)], [message.raw, *_flat(fields)])
            for message, fields in messages
        ]
        self.scripts.run_all(calls)

    def hand_off(self, message: Message, successor: Message, fields: StatusFields) -> Call:
        """The step that moves the message to the next queue, or ends its way after the last stage."""
        following = line.after(self.stage)
        status = status_key(message.image_id)
        if following is None:
            keys = [self._list, UNFINISHED, status]
            return Call("finish", keys, [message.raw, message.image_id, self._ttl, *_flat(fields)])
        keys = [self._list, following.queue, status]
        return Call("hand_off", keys, [message.raw, successor.raw, *_flat(fields)])

    def put_back(self, raw: bytes) -> None:
        """Return a message untouched to the head of its queue."""
        self.scripts.run(Call("put_back", [self._list, self.stage.queue], [raw, raw]))

    def delay(self, raw: bytes, again: bytes, seconds: float, image_id: str = "", fields: StatusFields = ()) -> None:
        """Put a message aside for some seconds; ``again`` is what will be queued then."""
        keys = [self._list, delayed_key(self.stage.queue), status_key(image_id)]
        self.scripts.run(Call("delay", keys, [raw, again, seconds, *_flat(fields)]))

    def bury(self, raw: bytes, letter: bytes, image_id: str, fields: StatusFields) -> None:
        """Move a message that failed for good to the dead letters."""
        self.scripts.run(bury(self.identity, raw, letter, image_id, self._ttl, fields))


def bury(identity: str, raw: bytes, letter: bytes, image_id: str, ttl: int, fields: StatusFields) -> Call:
    """The step that moves what ``identity`` holds to the dead letters."""
    stage = next((stage.name for stage in line.LINE if stage.queue == queue_of(identity)), queue_of(identity))
    keys = [in_flight_key(identity), DEAD_LETTERS, DEAD_COUNTS, UNFINISHED, status_key(image_id)]
    return Call("bury", keys, [raw, letter, stage, image_id, ttl, *_flat(fields)])


class Door:
    """The producer's side: accepting a picture, and the depth of every queue."""

    def __init__(self, url: str, max_unfinished: int) -> None:
        self.client = connect(url)
        self.scripts = Scripts(self.client)
        self._most = max_unfinished

    def is_full(self) -> bool:
        """Whether as many accepted pictures are unfinished as the line takes."""
        with reaching_redis():
            return int(self.client.scard(UNFINISHED)) >= self._most

    def accept(self, message: Message, fields: StatusFields, *, limited: bool = True) -> bool:
        """Queue a picture and open its status in one step that may be repeated; False when the line is full."""
        keys = [status_key(message.image_id), UNFINISHED, line.LINE[0].queue]
        most = self._most if limited else 0
        return bool(self.scripts.run(Call("accept", keys, [message.image_id, message.raw, most, *_flat(fields)])))

    def depths(self) -> dict[str, dict[str, int]]:
        """Count each stage's messages: waiting, in_flight and delayed."""
        with reaching_redis():
            return depths(self.client)

    def unfinished(self) -> int:
        """Count the accepted pictures that are not finished."""
        with reaching_redis():
            return int(self.client.scard(UNFINISHED))


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


def _flat(fields: StatusFields) -> list[Any]:
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    return [part for pair in pairs for part in pair]

"""The queue: plain Redis lists, and around them what a plain BLPOP lacks: nothing taken is ever lost.

A worker waits with BLMOVE, which leaves a copy in its own in-flight list until one atomic step hands the
message on. Its lease is its last heartbeat by the server's clock; what a worker held when its lease ran
out goes back to the queue (see stageline.maintenance.reaper).
"""

import json
import random
import re
import uuid
from collections.abc import Sequence
from typing import cast

import redis

from stageline.broker import transitions
from stageline.broker.keys import (
    DEAD_COUNTS,
    DEAD_LETTERS,
    MODELS,
    OUTCOMES,
    OUTCOMES_SINCE,
    PACE,
    UNFINISHED,
    WORKERS,
    content_key,
    delayed_key,
    in_flight_key,
    name_key,
    queue_of,
    status_key,
)
from stageline.broker.redis_client import Call, Scripts, connect, reaching_redis
from stageline.broker.side_effects import Notes
from stageline.core.timestamps import now
from stageline.pipeline import line
from stageline.pipeline.message import Message

GIVEN_AWAY = 0  # what a step answers for a message that this worker holds no longer
DROPPED = -1  # … and for one of a picture that was deleted, or sent again, meanwhile
CONTENT_SECONDS = 86_400  # that a picture's content is remembered, for those who want no duplicates
TOMBSTONE_SECONDS = 30 * 86_400  # of a picture deleted on its way: longer than any message waits


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
        self._popping = Scripts(self._blocking)

    def beat(self, lease_seconds: float, models: str = "") -> bool:
        """Renew the lease; False when it had run out, so that what was held may have been given away.

        ``models`` is what `stageline.registry.missing_models.told` says of the worker's models.
        """
        return bool(self.scripts.run(Call("beat", [WORKERS, MODELS], [self.identity, lease_seconds, models])))

    def leave(self) -> None:
        """Give up the lease, after the last message was handed on."""
        self.scripts.run(Call("forget", [WORKERS, self._list, MODELS], [self.identity, 0]))

    def take(self, timeout: float) -> bytes | None:
        """Wait up to ``timeout`` seconds for a message; it is in flight from the moment it leaves the queue."""
        with reaching_redis():
            raw = self._blocking.execute_command(  # type: ignore[no-untyped-call]
                "BLMOVE", self.stage.queue, self._list, "LEFT", "RIGHT", timeout
            )
            return cast("bytes | None", raw)

    def take_more(self, most: int) -> list[bytes]:
        """Take up to ``most`` more messages, and no more than half of what waits; never wait."""
        if most <= 0:
            return []
        return list(self._popping.run(Call("take_more", [self.stage.queue, self._list], [most])))

    def held(self) -> list[bytes]:
        """List what is in this worker's in-flight list; after a broken connection more than it knows of."""
        with reaching_redis():
            return cast("list[bytes]", self.client.lrange(self._list, 0, -1))

    def begin(self, messages: Sequence[tuple[Message, Notes]]) -> list[int]:
        """Note that work on the messages has begun; 0 for one that is not ours any more, DROPPED for one to forget."""
        calls = [
            Call("begin", [self._list, *notes.keys()], [message.raw, *notes.args()]) for message, notes in messages
        ]
        return self.scripts.run_all(calls)

    def superseded(self, messages: Sequence[Message]) -> list[bool]:
        """Tell of which messages the picture was deleted, or sent again, meanwhile."""
        with reaching_redis():
            pipe = self.client.pipeline(transaction=False)
            for message in messages:
                pipe.hget(status_key(message.image_id), "run")
            return [int(run or 0) > message.run for run, message in zip(pipe.execute(), messages, strict=True)]

    def hand_off(self, message: Message, successor: Message, notes: Notes) -> Call:
        """The step that moves the message to the next queue."""
        following = line.after(self.stage)
        assert following is not None  # noqa: S101 - the last stage's messages are finished
        keys = [self._list, following.queue, *notes.keys()]
        return Call("hand_off", keys, [message.raw, successor.raw, *notes.args()])

    def finish(self, message: Message, notes: Notes) -> Call:
        """The step that ends the picture's way, or lets it wait."""
        keys = [self._list, UNFINISHED, PACE, *notes.keys()]
        return Call("finish", keys, [message.raw, message.image_id, self._ttl, *notes.args()])

    def let_go(self, raw: bytes) -> None:
        """Forget a message whose picture was deleted, or sent again."""
        self.scripts.run(Call("let_go", [self._list], [raw]))

    def doubt(self, message: Message, how: str) -> None:
        """Have the catalogue read again what the bucket says of a picture: ours was stored late, over another's."""
        if not message.is_probe:
            told = {"image_id": message.image_id, "run": message.run, "status": how, "at": now()}
            self.scripts.run(Call("doubt", [OUTCOMES, OUTCOMES_SINCE], [json.dumps(told)]))

    def put_back(self, raw: bytes) -> None:
        """Return a message untouched to the head of its queue."""
        self.scripts.run(Call("put_back", [self._list, self.stage.queue], [raw, raw]))

    def delay(self, raw: bytes, again: bytes, seconds: float, notes: Notes | None = None) -> int:
        """Put a message aside for some seconds; ``again`` is what will be queued then."""
        told = notes or Notes()
        keys = [self._list, delayed_key(self.stage.queue), *told.keys()]
        return int(self.scripts.run(Call("delay", keys, [raw, again, seconds, *(notes.args() if notes else ())])))

    def bury(self, raw: bytes, letter: bytes, message: Message | None = None, notes: Notes | None = None) -> int:
        """Move what failed for good to the dead letters; without a message where not even its picture is known."""
        told = notes or Notes()
        image_id, content = (message.image_id, message.fields.get("sha256")) if message else ("", None)
        kept = [self._list, DEAD_LETTERS, DEAD_COUNTS, UNFINISHED, PACE, content_key(content)]
        args = [raw, letter, self.stage.name, image_id, self._ttl, *told.args()]
        return int(self.scripts.run(Call("bury", [*kept, *told.keys()], args)))


class Door:
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
        notes = transitions.accepted(message)
        own = {name: None if message.is_probe else message.fields.get(name) for name in ("sha256", "filename")}
        keys = [UNFINISHED, line.LINE[0].queue, content_key(own["sha256"]), name_key(own["filename"]), PACE]
        most = self._most if limited else 0
        args = [message.image_id, message.raw, most, int(dedupe), CONTENT_SECONDS, self._ttl, *notes.args()]
        there = self.scripts.run(Call("accept", [*keys, *notes.keys()], args))
        return None if there is None else cast("bytes", there).decode()

    def send_again(self, message: Message, stage: line.Stage) -> str:
        """Queue a picture's next run at a stage: "sent", "moving", "changed" (by somebody, meanwhile) or "full"."""
        notes = transitions.sent_again(message, stage.name)
        keys = [UNFINISHED, stage.queue, PACE, *notes.keys()]
        args = [message.image_id, message.raw, self._most, message.run - 1, *notes.args()]
        return cast("bytes", self.scripts.run(Call("send_again", keys, args))).decode()

    def delete(
        self, image_id: str, sha256: str | None = None, filename: str | None = None, *, probe: bool = False
    ) -> None:
        """Forget a picture; one that is still on its way is dropped by the worker that holds it, or takes it next."""
        notes = transitions.deleted(image_id, probe=probe)
        keys = [UNFINISHED, content_key(sha256), name_key(filename), *notes.keys()]
        self.scripts.run(Call("delete", keys, [image_id, self._ttl, TOMBSTONE_SECONDS, *notes.args()]))

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

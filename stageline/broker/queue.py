"""The queue: plain Redis lists, and around them what a plain BLPOP lacks: nothing taken is ever lost.

A worker waits with BLMOVE, which leaves a copy in its own in-flight list until one atomic step hands the
message on. Its lease is its last heartbeat by the server's clock; what a worker held when its lease ran
out goes back to the queue (see stageline.maintenance.reaper).
"""

import json
import re
import uuid
from collections.abc import Sequence
from typing import cast

import redis

from stageline.broker import transitions
from stageline.broker.keys import (
    ANNOUNCED,
    UNFINISHED,
    WORKERS,
    content_key,
    delayed_key,
    in_flight_key,
    name_key,
    queue_of,
    status_key,
)
from stageline.broker.redis_client import Call, Given, Result, Scripts, connect, reaching_redis
from stageline.broker.transitions import NO_EFFECTS, SideEffects
from stageline.core.retrying import REDIS_ONCE
from stageline.core.timestamps import now
from stageline.pipeline import line
from stageline.pipeline.message import Message

CONTENT_SECONDS = 86_400  # that a picture's content is remembered, for those who want no duplicates
TOMBSTONE_SECONDS = 30 * 86_400  # of a picture deleted on its way: longer than any message waits


def new_identity(queue: str, label: str) -> str:
    """Name one start of a worker process; a restart under its old label is somebody else."""
    return f"{queue}:{re.sub(r'[^A-Za-z0-9_.-]', '-', label)[:48]}:{uuid.uuid4().hex[:12]}"


class Consumer:
    """One worker's side of a queue. Every step that moves a message does nothing unless the worker still holds it."""

    def __init__(self, url: str, stage: line.Stage, label: str, status_ttl: int) -> None:
        self.stage = stage
        self.identity = new_identity(stage.queue, label)
        self._list = in_flight_key(self.identity)
        self._ttl = status_ttl
        self.client = connect(url)
        self._blocking = connect(url, REDIS_ONCE)  # a repeated BLMOVE would take a second message
        self.scripts = Scripts(self.client)
        self._popping = Scripts(self._blocking)

    def heartbeat(self, lease_seconds: float, models: str = "") -> bool:
        """Renew the lease; False when it had run out, so that what was held may have been given away.

        ``models`` is what `stageline.registry.missing_models.encode_report` says of the worker's models.
        """
        return bool(self.scripts.run(Call("heartbeat", identity=self.identity, lease=lease_seconds, lacks=models)))

    def announce(self) -> None:
        """Say which stages and folders this version knows, so that older ones let messages that name them wait."""
        with reaching_redis():
            self.client.sadd(ANNOUNCED, *(stage.name for stage in line.LINE), *(f"{name}/" for name in line.FOLDERS))

    def is_announced(self, name: str) -> bool:
        """Whether a worker, perhaps of a newer version, has announced this stage, or this folder (`<folder>/`)."""
        with reaching_redis():
            return bool(self.client.sismember(ANNOUNCED, name))

    def leave(self) -> None:
        """Give up the lease, after the last message was handed on."""
        self.scripts.run(Call("forget", in_flight=self._list, identity=self.identity, silent_seconds=0))

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
        return list(self._popping.run(Call("take_more", queue=self.stage.queue, in_flight=self._list, most=most)))

    def held(self) -> list[bytes]:
        """List what is in this worker's in-flight list; after a broken connection more than it knows of."""
        with reaching_redis():
            return cast("list[bytes]", self.client.lrange(self._list, 0, -1))

    def begin(self, messages: Sequence[tuple[Message, SideEffects]]) -> list[int]:
        """Note that work on the messages has begun; a Result for each."""
        return self.scripts.run_all([self._step("begin", message, effects) for message, effects in messages])

    def superseded(self, messages: Sequence[Message]) -> list[bool]:
        """Tell of which messages the picture was deleted, or sent again, meanwhile."""
        with reaching_redis():
            pipe = self.client.pipeline(transaction=False)
            for message in messages:
                pipe.hget(status_key(message.image_id), "run")
            return [int(run or 0) > message.run for run, message in zip(pipe.execute(), messages, strict=True)]

    def hand_off(self, message: Message, successor: Message, effects: SideEffects) -> Call:
        """The transition that moves the message to the next queue."""
        following = line.after(self.stage)
        assert following is not None  # noqa: S101 - the last stage's messages are finished
        return self._step("hand_off", message, effects, queue=following.queue, successor=successor.raw)

    def finish(self, message: Message, effects: SideEffects) -> Call:
        """The transition that ends the picture's way, or lets it wait."""
        return self._step("finish", message, effects, image_id=message.image_id, status_seconds=self._ttl)

    def _step(self, script: str, message: Message, effects: SideEffects, **more: str | bytes | float) -> Call:
        return Call(script, in_flight=self._list, message=message.raw, **effects.given(), **more)

    def let_go(self, raw: bytes) -> None:
        """Forget a message whose picture was deleted, or sent again."""
        self.scripts.run(Call("let_go", in_flight=self._list, message=raw))

    def recheck(self, message: Message, how: str) -> None:
        """Have the catalogue read again what the bucket says of a picture: ours was stored late, over another's."""
        if not message.is_probe:
            told = {"image_id": message.image_id, "run": message.run, "status": how, "at": now()}
            self.scripts.run(Call("recheck", outcome=json.dumps(told)))

    def put_back(self, raw: bytes) -> None:
        """Return a message untouched to the head of its queue."""
        self.scripts.run(Call("put_back", in_flight=self._list, queue=self.stage.queue, message=raw, again=raw))

    def delay(self, raw: bytes, again: bytes, seconds: float, effects: SideEffects = NO_EFFECTS) -> int:
        """Put a message aside for some seconds; ``again`` is what will be queued then."""
        keys = {"in_flight": self._list, "delayed": delayed_key(self.stage.queue)}
        return int(self.scripts.run(Call("delay", message=raw, again=again, pause=seconds, **keys, **effects.given())))

    def dead_letter(
        self, raw: bytes, letter: bytes, message: Message | None = None, effects: SideEffects = NO_EFFECTS
    ) -> int:
        """Move what failed for good to the dead letters; without a message where not even its picture is known."""
        image_id, content = (message.image_id, message.fields.get("sha256")) if message else ("", None)
        keys = {"in_flight": self._list, "content": content_key(content)}
        args: Given = {"letter": letter, "stage": self.stage.name, "image_id": image_id, "status_seconds": self._ttl}
        return int(self.scripts.run(Call("dead_letter", message=raw, **keys, **args, **effects.given())))


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

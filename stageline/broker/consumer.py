"""The consumer's side of a queue, which is a plain Redis list. No message that was taken is ever lost.

A worker waits with BLMOVE, which leaves a copy of the message in the worker's in-flight list until one atomic
transition moves it on. The worker's lease is its last heartbeat by the server's clock. What the worker held when its
lease ran out goes back to the queue: see stageline.maintenance.reaper.
"""

import json
import re
import uuid
from collections.abc import Sequence
from typing import cast

from stageline.broker.keys import ANNOUNCED, content_key, delayed_key, in_flight_key, status_key
from stageline.broker.redis_client import Call, Given, Scripts, connect, reaching_redis
from stageline.broker.transitions import NO_EFFECTS, SideEffects
from stageline.core.retrying import REDIS_ONCE
from stageline.core.timestamps import now
from stageline.pipeline import line
from stageline.pipeline.message import Message


def new_identity(queue: str, label: str) -> str:
    """Return the identity of one start of a worker process; a restart with the same label gets another."""
    return f"{queue}:{re.sub(r'[^A-Za-z0-9_.-]', '-', label)[:48]}:{uuid.uuid4().hex[:12]}"


class Consumer:
    """One worker's consumer. A transition does nothing when the worker no longer holds the message."""

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
        """Renew the lease; return False when it had expired, as other workers may then have the messages.

        ``models`` describes the models that the worker lacks, as JSON; see `stageline.registry.missing_models`.
        """
        return bool(self.scripts.run(Call("heartbeat", identity=self.identity, lease=lease_seconds, lacks=models)))

    def announce(self) -> None:
        """Add the stages and folders of this version to those known, so that older workers delay messages with them."""
        with reaching_redis():
            self.client.sadd(ANNOUNCED, *(stage.name for stage in line.LINE), *(f"{name}/" for name in line.FOLDERS))

    def is_announced(self, name: str) -> bool:
        """Whether a worker of any version has announced this stage, or this folder (`<folder>/`)."""
        with reaching_redis():
            return bool(self.client.sismember(ANNOUNCED, name))

    def leave(self) -> None:
        """Give up the lease, after the last message was committed."""
        self.scripts.run(Call("forget", in_flight=self._list, identity=self.identity, silent_seconds=0))

    def take(self, timeout: float) -> bytes | None:
        """Wait up to ``timeout`` seconds for a message; it is in flight from the moment it leaves the queue."""
        words = ("BLMOVE", self.stage.queue, self._list, "LEFT", "RIGHT", timeout)
        with reaching_redis():
            return cast("bytes | None", self._blocking.execute_command(*words))  # type: ignore[no-untyped-call]

    def take_more(self, most: int) -> list[bytes]:
        """Take up to ``most`` more messages, and at most half of those that wait; return at once."""
        if most <= 0:
            return []
        return list(self._popping.run(Call("take_more", queue=self.stage.queue, in_flight=self._list, most=most)))

    def held(self) -> list[bytes]:
        """List the messages in flight; after a broken connection the worker may not know all of them."""
        with reaching_redis():
            return cast("list[bytes]", self.client.lrange(self._list, 0, -1))

    def begin(self, messages: Sequence[tuple[Message, SideEffects]]) -> list[int]:
        """Record that work on the messages has begun; return a Result for each."""
        return self.scripts.run_all([self._step("begin", message, effects) for message, effects in messages])

    def superseded(self, messages: Sequence[Message]) -> list[bool]:
        """Return, for each message, whether its picture was deleted or sent again meanwhile."""
        with reaching_redis():
            pipe = self.client.pipeline(transaction=False)
            for message in messages:
                pipe.hget(status_key(message.image_id), "run")
            return [int(run or 0) > message.run for run, message in zip(pipe.execute(), messages, strict=True)]

    def hand_off(self, message: Message, successor: Message, effects: SideEffects) -> Call:
        """Return the transition that moves the message to the next queue."""
        following = line.after(self.stage)
        assert following is not None  # noqa: S101 - the last stage's messages are finished
        return self._step("hand_off", message, effects, queue=following.queue, successor=successor.raw)

    def finish(self, message: Message, effects: SideEffects) -> Call:
        """Return the transition that ends the picture's run, or lets the picture wait."""
        return self._step("finish", message, effects, image_id=message.image_id, status_seconds=self._ttl)

    def _step(self, script: str, message: Message, effects: SideEffects, **more: str | bytes | float) -> Call:
        return Call(script, in_flight=self._list, message=message.raw, **effects.given(), **more)

    def let_go(self, raw: bytes) -> None:
        """Drop a message whose picture was deleted or sent again."""
        self.scripts.run(Call("let_go", in_flight=self._list, message=raw))

    def recheck(self, message: Message, how: str) -> None:
        """Have the catalogue read the picture's results again, which this worker stored late, over another worker's."""
        if not message.is_probe:
            event = {"image_id": message.image_id, "run": message.run, "status": how, "at": now()}
            self.scripts.run(Call("recheck", outbox_event=json.dumps(event)))

    def put_back(self, raw: bytes) -> None:
        """Return a message unchanged to the head of its queue."""
        self.scripts.run(Call("put_back", in_flight=self._list, queue=self.stage.queue, message=raw, again=raw))

    def delay(self, raw: bytes, again: bytes, seconds: float, effects: SideEffects = NO_EFFECTS) -> int:
        """Delay a message by some seconds; ``again`` is the message that is queued then."""
        keys = {"in_flight": self._list, "delayed": delayed_key(self.stage.queue)}
        return int(self.scripts.run(Call("delay", message=raw, again=again, pause=seconds, **keys, **effects.given())))

    def dead_letter(
        self, raw: bytes, letter: bytes, message: Message | None = None, effects: SideEffects = NO_EFFECTS
    ) -> int:
        """Move a message that failed for good to the dead letters; ``message`` is None when its picture is unknown."""
        image_id, content = (message.image_id, message.fields.get("sha256")) if message else ("", None)
        keys = {"in_flight": self._list, "content": content_key(content)}
        args: Given = {"dead_letter": letter, "stage": self.stage.name, "status_seconds": self._ttl, **effects.given()}
        return int(self.scripts.run(Call("dead_letter", message=raw, image_id=image_id, **keys, **args)))

"""Dead letters: messages that failed for good, kept on a list with their stage, reason and traceback."""

import base64
import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import redis

from stageline.broker import transitions
from stageline.broker.keys import DEAD_COUNTS, DEAD_LETTERS
from stageline.broker.redis_client import Call, Given, Scripts, reaching_redis
from stageline.broker.transitions import Entry
from stageline.core.errors import StagelineError
from stageline.core.timestamps import now
from stageline.pipeline import line, rerun
from stageline.pipeline.message import Message

BATCH_SIZE = 500
FEW = 8


def encode(
    stage: str, raw: bytes, reason: str, trace: str = "", *, message: Message | None = None, entry: Entry | None = None
) -> bytes:
    """Return a dead letter as JSON, with the stage's history entry; bytes that are not a message are kept in base64."""
    kept: dict[str, Any] = {"stage": stage, "reason": reason, "traceback": trace, "time": now()}
    kept |= {"attempt": (entry or {}).get("attempt", 1), "entry": entry}
    kept |= _unreadable(raw) if message is None else {"image_id": message.image_id, "message": raw.decode()}
    return json.dumps(kept).encode()


def read(raw: bytes) -> Mapping[str, Any]:
    """Decode an item of the list; an item that no worker wrote gets the stage ``""`` and a reason that says so."""
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(raw)
        if isinstance(content, dict) and _is_dead_letter(content):
            return content
    reason = "this is no dead letter of Stageline's"
    return {"stage": "", "reason": reason, "traceback": "", "time": "", **_unreadable(raw)}


def _unreadable(raw: bytes) -> dict[str, Any]:
    return {"image_id": None, "raw_base64": base64.b64encode(raw).decode()}


def _is_dead_letter(content: Mapping[str, Any]) -> bool:
    texts = all(isinstance(content.get(name), str) for name in ("stage", "reason", "time"))
    return texts and all(isinstance(content.get(name), str | None) for name in ("image_id", "message"))


class DeadLetters:
    """Reads, replays and drops the dead letters."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts = Scripts(client)

    def list(self) -> Sequence[tuple[bytes, Mapping[str, Any]]]:
        """Return every dead letter, oldest first, as its bytes and its content."""
        with reaching_redis():
            return [(raw, read(raw)) for raw in cast("list[bytes]", self._client.lrange(DEAD_LETTERS, 0, -1))]

    def some(self, start: int, end: int | None = None) -> Sequence[bytes]:
        """Return the dead letters from index ``start`` up to ``end``, oldest first; without an end at most 500."""
        last = start + BATCH_SIZE if end is None else end
        with reaching_redis():
            return cast("Sequence[bytes]", self._client.lrange(DEAD_LETTERS, start, last - 1))

    def of(self, image_ids: Collection[str]) -> Sequence[tuple[bytes, Mapping[str, Any]]]:
        """Return the dead letters of these pictures; read the list in batches, so that memory stays bounded."""
        words = [image_id.encode(errors="replace") for image_id in image_ids]
        found, left = [], self.count()
        while left > 0:  # from the end: a dead letter that is dropped meanwhile shifts only those that were read
            for raw in self.some(max(0, left - BATCH_SIZE), left):
                if len(words) > FEW or any(word in raw for word in words):  # quicker than decoding
                    content = read(raw)
                    if content.get("image_id") in image_ids:
                        found.append((raw, content))
            left -= BATCH_SIZE
        return found

    def count(self) -> int:
        """Count the dead letters."""
        with reaching_redis():
            return int(self._client.llen(DEAD_LETTERS))

    def counts(self) -> dict[str, int]:
        """Count the dead letters by stage, without reading them."""
        with reaching_redis():
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(DEAD_COUNTS)
            pipe.llen(DEAD_LETTERS)
            found, total = pipe.execute()
        # The counts are stale when an operator emptied the list by hand.
        return {stage.decode(): int(count) for stage, count in found.items()} if total else {}

    def replay(self, raw: bytes, content: Mapping[str, Any]) -> Message | None:
        """Queue the message again at the stage where it failed, as its picture's next run.

        Returns:
            The message as it was queued; None when the dead letter was gone, or when its picture was already sent again
            or deleted.

        Raises:
            StagelineError: the dead letter holds no message, or the line no longer has its stage.
        """
        if not content.get("message"):
            raise StagelineError("this dead letter is not a message, so it cannot be replayed; drop it")
        message = Message.decode(content["message"].encode())
        try:
            stage = line.stage(content["stage"])
        except KeyError:
            raise StagelineError(f"the line has no stage {content['stage']!r}, so this cannot be replayed") from None
        again = rerun.after_failure(message, stage.name, content)
        args: Given = {"dead_letter": raw, "stage": stage.name, "message": again.raw, "image_id": again.image_id}
        effects = transitions.sent_again(again, stage.name)
        return again if self._scripts.run(Call("replay", queue=stage.queue, **args, **effects.given())) else None

    def drop_of(self, image_id: str, before_run: int | None = None) -> None:
        """Drop the dead letters of a picture; with ``before_run`` only those of earlier runs."""
        for raw, content in self.of({image_id}):
            if before_run is None or int((content.get("entry") or {}).get("run") or 1) < before_run:
                self.drop(raw)

    def drop(self, raw: bytes) -> bool:
        """Drop a dead letter; return False when it was already gone."""
        return bool(self._scripts.run(Call("drop", dead_letter=raw, stage=read(raw)["stage"])))

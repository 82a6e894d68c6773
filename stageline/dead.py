"""Dead letters: messages that failed for good, kept on a list with their stage, reason and traceback."""

import base64
import json
from collections.abc import Mapping
from typing import Any, cast

import redis

from stageline import line
from stageline.errors import StagelineError
from stageline.keys import DEAD_LETTERS, UNFINISHED, status_key
from stageline.message import Message
from stageline.redis_client import Call, Scripts, reaching_redis
from stageline.status import now


def letter(
    stage: str, raw: bytes, reason: str, trace: str = "", *, message: Message | None = None, attempt: int = 1
) -> bytes:
    """Make a dead letter; what is no message keeps its raw bytes, in base64."""
    kept: dict[str, Any] = {"stage": stage, "reason": reason, "traceback": trace, "time": now(), "attempt": attempt}
    if message is None:
        kept |= {"image_id": None, "raw_base64": base64.b64encode(raw).decode()}
    else:
        kept |= {"image_id": message.image_id, "message": raw.decode()}
    return json.dumps(kept).encode()


class DeadLetters:
    """The list of dead letters: read, replayed, dropped."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._scripts = Scripts(client)

    def list(self) -> list[tuple[bytes, Mapping[str, Any]]]:
        """Return every dead letter, oldest first, as its bytes and its content."""
        with reaching_redis():
            return [(raw, json.loads(raw)) for raw in cast("list[bytes]", self._client.lrange(DEAD_LETTERS, 0, -1))]

    def count(self) -> int:
        """Count them."""
        with reaching_redis():
            return int(self._client.llen(DEAD_LETTERS))

    def replay(self, raw: bytes, content: Mapping[str, Any]) -> bool:
        """Queue the message again at the stage where it failed, as a first attempt; False when it was gone.

        Raises:
            StagelineError: the letter holds no message: nothing could work on it.
        """
        if "message" not in content:
            raise StagelineError("this dead letter is not a message, so it cannot be replayed; drop it")
        message = Message.decode(content["message"].encode())
        again = Message.of({**message.fields, "attempt": 1})
        stage = line.stage(content["stage"])
        keys = [DEAD_LETTERS, stage.queue, UNFINISHED, status_key(message.image_id)]
        args: list[str | bytes] = [raw, again.raw, message.image_id, "status", "processing", "updated_at", now()]
        return bool(self._scripts.run(Call("replay", keys, args)))

    def drop(self, raw: bytes) -> bool:
        """Forget a dead letter; False when it was gone."""
        keys = [DEAD_LETTERS, "", UNFINISHED, ""]
        return bool(self._scripts.run(Call("replay", keys, [raw, "", ""])))

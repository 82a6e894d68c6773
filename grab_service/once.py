"""Requests that happen once: under an Idempotency-Key, whoever sends the same again gets the same answer, for a day."""

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any, NoReturn

from werkzeug.exceptions import HTTPException

from grab_service.door import GrabDoor
from grab_service.problems import BadParameters, Misfit, NotNow
from stageline.errors import StagelineError, Unavailable
from stageline.redis_client import Call

KEY = "Idempotency-Key"
KEPT_SECONDS = 86_400
LEASE_SECONDS = 180  # that a request may take before another may take it over: longer than any upload, and any wait
OTHER = "this key was used for another request; choose a new one, or send the same request again"
RUNNING = "a request of the same Idempotency-Key is being worked on; try again when it is done"


class Claim:
    """One request's hold on its key.

    The id that is chosen for it is kept with the key: who takes it over after a crash uses the same, and so does not
    do again what was done. ``replay`` is the answer, where there is one.
    """

    def __init__(self, door: GrabDoor, key: str, fingerprint: str, new_id: str) -> None:
        """Claim the key for what the fingerprint says.

        Raises:
            BadParameters: the key was used for something else.
            NotNow: a request of that key runs.
            Unavailable: Redis is away.
        """
        self._door, self._fingerprint = door, fingerprint
        self._record = f"stageline:once:{hashlib.sha256(key.encode()).hexdigest()}"
        self._owner = uuid.uuid4().hex
        self._new_id = self.image_id = new_id
        self.replay: dict[str, Any] | None = None
        self.renew()

    def renew(self) -> None:
        """Hold the key for longer; raises as the claim does."""
        args: list[str | int] = [self._fingerprint, self._owner, LEASE_SECONDS, KEPT_SECONDS, self.image_id]
        how, *told = self._door.line.scripts.run(Call("claim", [self._record], args))
        if how == b"other":
            self.refuse_other()
        if how == b"running":
            raise NotNow(RUNNING)
        self.image_id = told[0].decode()
        if how == b"done":
            self.replay = json.loads(told[1])

    def refuse_other(self) -> NoReturn:
        """Say that the key was used for something else.

        Raises:
            BadParameters: always.
        """
        raise BadParameters([Misfit(KEY, OTHER)])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let go of the key where the request fails: of what may have been done, by now or before, the id is kept."""
        try:
            yield
        except BaseException as error:
            refused = isinstance(error, StagelineError | HTTPException) and not isinstance(error, Unavailable)
            self.leave(nothing_done=refused and self.image_id == self._new_id)
            raise

    def leave(self, *, nothing_done: bool = False) -> None:
        """Remember no answer: who sends the same again goes on under the same id, or, with nothing done, anew."""
        with contextlib.suppress(Unavailable):
            self._settle("", nothing_done=nothing_done)

    def remember(self, answer: dict[str, Any]) -> None:
        """Keep what the answer is made of for who asks again; it is small: what is large is read anew, by its id.

        While Redis is away the id alone is kept, which does.
        """
        with contextlib.suppress(Unavailable):
            self._settle(json.dumps(answer), nothing_done=False)

    def _settle(self, answer: str, *, nothing_done: bool) -> None:
        args: list[str | int] = [self._owner, answer, KEPT_SECONDS, int(nothing_done)]
        self._door.line.scripts.run(Call("settle", [self._record], args))


def fingerprint(*parts: str | bytes) -> str:
    """What a request asks for, as one short text."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="replace") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()

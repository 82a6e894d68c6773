"""Requests that happen once: under an Idempotency-Key, whoever sends the same again gets the same answer, for a day.

A claim stands for some seconds, and for longer only while this process works under it and says so (line/claims.py). So
one whose work was lost, with its process or with Redis's answer, is soon free; who takes it over works under the same
id.
"""

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any, NoReturn

from werkzeug.exceptions import HTTPException

from grab_service.api.problems import BadParameters, FieldError, StillRunning
from grab_service.line.claims import KEPT_SECONDS, LEASE_SECONDS, settle
from grab_service.line.intake import Intake
from stageline.broker.redis_client import Call, Result, Scripts
from stageline.core.errors import StagelineError, Unavailable

KEY = "Idempotency-Key"
OTHER = "this key was used for another request; choose a new one, or send the same request again"
RUNNING = "a request of the same Idempotency-Key is being worked on; try again when it is done"


class Claim:
    """One request's hold on its key.

    The id that is chosen for it is kept with the key: who takes it over after a crash uses the same, and so does not
    do again what was done. ``replay`` is the answer, where there is one.
    """

    def __init__(self, intake: Intake, key: str, fingerprint: str, new_id: str) -> None:
        """Claim the key for what the fingerprint says.

        Raises:
            BadParameters: the key was used for something else.
            StillRunning: a request of that key runs.
            Unavailable: Redis is away; should it have been claimed all the same, it is freed as soon as Redis answers.
        """
        self._claims = intake.claims
        self._record = f"stageline:once:{hashlib.sha256(key.encode()).hexdigest()}"
        self._owner = uuid.uuid4().hex
        self._new_id = self.image_id = new_id
        self._fingerprint = fingerprint
        self.replay: dict[str, Any] | None = None
        how, *told = self._ask(intake.line.scripts)
        if how == Result.OTHER_REQUEST:
            self.refuse_other()
        if how == Result.RUNNING:
            raise StillRunning(RUNNING, told[0])
        self.image_id = told[0].decode()
        if how == Result.ANSWERED:
            self.replay = json.loads(told[1])

    def _claim(self) -> Call:
        seconds = {"held_seconds": LEASE_SECONDS, "kept_seconds": KEPT_SECONDS}
        who = {"fingerprint": self._fingerprint, "owner": self._owner, "image_id": self.image_id}
        return Call("claim", record=self._record, **who, **seconds)

    def _ask(self, scripts: Scripts) -> list[Any]:
        """Claim, once all is said that this process has to say of earlier claims of that key."""
        unsent = self._claims.take_unsent(self._record)
        try:
            *_, told = scripts.run_all([*unsent.values(), self._claim()])
        except Unavailable:
            self._claims.send_later({**unsent, self._owner: self._settle("", self._new_id)})
            raise
        return list(told)

    def refuse_if_lost(self) -> None:
        """Go on only while the claim is this request's.

        Raises:
            StillRunning: another has taken it over, and goes on under the same id.
        """
        if self._claims.is_lost(self._owner):
            self.refuse_lost()

    def refuse_lost(self) -> NoReturn:
        """Say that another request works under this key.

        Raises:
            StillRunning: always.
        """
        raise StillRunning(RUNNING, LEASE_SECONDS)

    def keep_batch(self, record: str, content: str, seconds: int) -> Call:
        """The step that keeps what came of a batch, which answers 0 where another has taken its key over."""
        keys = {"batch": record, "record": self._record}
        return Call("keep_batch", content=content, kept_seconds=seconds, owner=self._owner, **keys)

    def refuse_other(self) -> NoReturn:
        """Say that the key was used for something else.

        Raises:
            BadParameters: always.
        """
        raise BadParameters([FieldError(KEY, OTHER)])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the key meanwhile, and let go of it where the request fails.

        Of what may have been done, by now or before, the id is kept.
        """
        self._claims.begin(self._owner, self._claim())
        try:
            yield
        except BaseException as error:
            self._claims.end(self._owner)  # before it is let go of, so that no heartbeat claims it anew
            self.leave(refused=isinstance(error, StagelineError | HTTPException) and not isinstance(error, Unavailable))
            raise
        finally:
            self._claims.end(self._owner)

    def leave(self, *, refused: bool = False) -> None:
        """Remember no answer: who sends the same again goes on under the same id, or, where nothing was done, anew."""
        self._claims.send(self._owner, self._settle("", self._new_id if refused else ""))

    def remember(self, answer: dict[str, Any]) -> None:
        """Keep what the answer is made of for who asks again; it is small: what is large is read anew, by its id.

        While Redis is away the id alone is known there, which does.
        """
        self._claims.send(self._owner, self._settle(json.dumps(answer)))

    def _settle(self, answer: str, nothing_done_as: str = "") -> Call:
        return settle(self._record, self._owner, answer, nothing_done_as)


def fingerprint(*parts: str | bytes) -> str:
    """What a request asks for, as one short text."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="replace") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()

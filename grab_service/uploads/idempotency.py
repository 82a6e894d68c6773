"""Idempotent requests: a request repeated with the same Idempotency-Key gets the same answer, for a day.

A claim on a key is a lease of some seconds, renewed by a heartbeat while this process works on it (line/claims.py). A
claim whose process died, or whose reply from Redis was lost, is soon free; the request that takes it over uses the same
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
    """The claim of one request on its key.

    The id of the picture or batch is kept with the key: a request that takes over after a crash uses the same id, and
    so repeats no work. ``replay`` is the kept answer, if there is one.
    """

    def __init__(self, intake: Intake, key: str, fingerprint: str, new_id: str) -> None:
        """Claim the key for the request with this fingerprint.

        Raises:
            BadParameters: the key was used for another request.
            StillRunning: a request with that key is in progress.
            Unavailable: Redis is away; if the key was claimed nevertheless, it is freed when Redis answers.
        """
        self._claims = intake.claims
        self._record = f"stageline:once:{hashlib.sha256(key.encode()).hexdigest()}"
        self._owner = uuid.uuid4().hex
        self._new_id = self.image_id = new_id
        self._fingerprint = fingerprint
        self.replay: dict[str, Any] | None = None
        how, *reply = self._ask(intake.line.scripts)
        if how == Result.OTHER_REQUEST:
            self.refuse_other()
        if how == Result.RUNNING:
            raise StillRunning(RUNNING, reply[0])
        self.image_id = reply[0].decode()
        if how == Result.ANSWERED:
            self.replay = json.loads(reply[1])

    def _claim(self) -> Call:
        seconds = {"held_seconds": LEASE_SECONDS, "kept_seconds": KEPT_SECONDS}
        claim = {"fingerprint": self._fingerprint, "owner": self._owner, "image_id": self.image_id}
        return Call("claim", record=self._record, **claim, **seconds)

    def _ask(self, scripts: Scripts) -> list[Any]:
        """Claim the key, after sending the unsent results of earlier claims on it."""
        unsent = self._claims.take_unsent(self._record)
        try:
            *_, reply = scripts.run_all([*unsent.values(), self._claim()])
        except Unavailable:
            self._claims.send_later({**unsent, self._owner: self._settle("", self._new_id)})
            raise
        return list(reply)

    def refuse_if_lost(self) -> None:
        """Raise if another request has taken over the claim.

        Raises:
            StillRunning: another request has taken over, and continues under the same id.
        """
        if self._claims.is_lost(self._owner):
            self.refuse_lost()

    def refuse_lost(self) -> NoReturn:
        """Refuse: another request works under this key.

        Raises:
            StillRunning: always.
        """
        raise StillRunning(RUNNING, LEASE_SECONDS)

    def keep_batch(self, record: str, content: str, seconds: int) -> Call:
        """Return the script call that keeps the results of a batch; it returns 0 if another has taken over the key."""
        keys = {"batch": record, "record": self._record}
        return Call("keep_batch", content=content, kept_seconds=seconds, owner=self._owner, **keys)

    def refuse_other(self) -> NoReturn:
        """Refuse: the key was used for another request.

        Raises:
            BadParameters: always.
        """
        raise BadParameters([FieldError(KEY, OTHER)])

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the claim during the request, and free it if the request fails.

        The id is kept unless certainly nothing was done under it.
        """
        self._claims.begin(self._owner, self._claim())
        try:
            yield
        except BaseException as error:
            self._claims.end(self._owner)  # before it is freed, so that no heartbeat claims it again
            self.leave(refused=isinstance(error, StagelineError | HTTPException) and not isinstance(error, Unavailable))
            raise
        finally:
            self._claims.end(self._owner)

    def leave(self, *, refused: bool = False) -> None:
        """Free the key without an answer; a repeated request uses the same id, or a new one if this one was refused."""
        self._claims.send(self._owner, self._settle("", self._new_id if refused else ""))

    def remember(self, answer: dict[str, Any]) -> None:
        """Keep what a repeated answer is made of; large parts are not kept, but read again by the id.

        While Redis is away it has only the id, which is enough.
        """
        self._claims.send(self._owner, self._settle(json.dumps(answer)))

    def _settle(self, answer: str, nothing_done_as: str = "") -> Call:
        return settle(self._record, self._owner, answer, nothing_done_as)


def fingerprint(*parts: str | bytes) -> str:
    """Return a digest of the parts of a request."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="replace") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()

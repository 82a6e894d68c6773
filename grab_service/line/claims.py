"""The claims that this process works under (see uploads/idempotency.py): one heartbeat holds all of them meanwhile."""

import threading
from collections.abc import Sequence

from stageline.broker.redis_client import Call, Result, Scripts
from stageline.core.errors import Unavailable
from stageline.core.retrying import HEARTBEAT

LEASE_SECONDS = 10  # that a claim stands without a heartbeat: what a process held that died is free after that
HEARTBEAT_SECONDS = LEASE_SECONDS / 3
KEPT_SECONDS = 86_400  # that a record is kept
MAX_UNSENT = 10_000


def settle(record: str, owner: str, answer: str = "", nothing_done_as: str = "") -> Call:
    """The step that says what came of a claim; see settle.lua."""
    how = {"answer": answer, "nothing_done_as": nothing_done_as}
    return Call("settle", record=record, owner=owner, kept_seconds=KEPT_SECONDS, **how)


class HeldClaims:
    """Renews what is held, and says again what Redis did not answer to; its thread runs while there is such work."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._lock = threading.Lock()
        self._held: dict[str, Call] = {}  # a claim's owner → the step that claimed it
        self._lost: set[str] = set()  # owners whose claim another has taken over
        self._unsent: dict[str, Call] = {}  # a claim's owner → what came of it
        self._thread: threading.Thread | None = None

    def begin(self, owner: str, claim: Call) -> None:
        """Hold a claim from now on; should Redis lose its record, it is claimed anew, under the same id."""
        with self._lock:
            self._held[owner] = claim
            self._start_heartbeat()

    def end(self, owner: str) -> None:
        """Hold it no more."""
        with self._lock:
            self._held.pop(owner, None)
            self._lost.discard(owner)

    def is_lost(self, owner: str) -> bool:
        """Whether another has taken over a claim that is held: this process was out of touch for too long."""
        with self._lock:
            return owner in self._lost

    def send(self, owner: str, settle: Call) -> None:
        """Say what came of a claim; where Redis does not answer, later."""
        try:
            self._scripts.run(settle)
        except Unavailable:
            self.send_later({owner: settle})

    def send_later(self, settle: dict[str, Call]) -> None:
        """Say what came of claims, by their owners, as soon as Redis answers; of too many the oldest are let go."""
        with self._lock:
            self._unsent |= settle
            while len(self._unsent) > MAX_UNSENT:
                del self._unsent[next(iter(self._unsent))]
            self._start_heartbeat()

    def take_unsent(self, record: str | None = None) -> dict[str, Call]:
        """Take over what is still to be said, of one record or of all: who takes it says it."""
        with self._lock:
            taken = {owner: call for owner, call in self._unsent.items() if record in (None, call.given["record"])}
            for owner in taken:
                del self._unsent[owner]
            return taken

    def _start_heartbeat(self) -> None:
        """Have a thread that beats; the lock is held."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="claims", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Renew, and say what is unsent, until there is neither."""
        pause = threading.Event()  # never set
        while True:
            pause.wait(HEARTBEAT.pause(1) if self._unsent else HEARTBEAT_SECONDS)
            with self._lock:
                if not self._held and not self._unsent:
                    self._thread = None
                    return
                held = list(self._held.items())
            if held:
                self._renew(held)
            if self._unsent:
                self._send_again()

    def _renew(self, held: Sequence[tuple[str, Call]]) -> None:
        try:
            answers = self._scripts.run_all(
                [
                    Call("hold", record=claim.given["record"], owner=owner, held_seconds=LEASE_SECONDS)
                    for owner, claim in held
                ]
            )
            gone = [each for each, answer in zip(held, answers, strict=True) if answer == Result.NO_RECORD]
            claimed = self._scripts.run_all([claim for _, claim in gone])
        except Unavailable:
            return  # the next beat tries again; until then another may take over
        lost = {owner for (owner, _), answer in zip(held, answers, strict=True) if answer == Result.NOT_HELD}
        for (owner, claim), (how, *told) in zip(gone, claimed, strict=True):
            if (how, told) != (Result.CLAIMED, [_id(claim).encode()]):
                lost.add(owner)
            elif not self._is_held(owner):  # its request ended meanwhile, and it was gone because that let go of it
                self.send(owner, settle(str(claim.given["record"]), owner, nothing_done_as=_id(claim)))
        with self._lock:
            self._lost |= lost & self._held.keys()

    def _is_held(self, owner: str) -> bool:
        with self._lock:
            return owner in self._held

    def _send_again(self) -> None:
        unsent = self.take_unsent()
        try:
            self._scripts.run_all(list(unsent.values()))
        except Unavailable:
            self.send_later(unsent)


def _id(claim: Call) -> str:
    """The id that a claiming step asks for."""
    return str(claim.given["image_id"])

"""The claims that this process holds (see uploads/idempotency.py), kept alive by one heartbeat."""

import threading
from collections.abc import Sequence

from stageline.broker.redis_client import Call, Result, Scripts
from stageline.core.errors import Unavailable
from stageline.core.retrying import HEARTBEAT

LEASE_SECONDS = 10  # a claim without a heartbeat: after that the claims of a dead process are free
HEARTBEAT_SECONDS = LEASE_SECONDS / 3
KEPT_SECONDS = 86_400  # the lifetime of a record
MAX_UNSENT = 10_000


def settle(record: str, owner: str, answer: str = "", nothing_done_as: str = "") -> Call:
    """Return the script call that stores the result of a claim; see settle.lua."""
    result = {"answer": answer, "nothing_done_as": nothing_done_as}
    return Call("settle", record=record, owner=owner, kept_seconds=KEPT_SECONDS, **result)


class HeldClaims:
    """Renews held claims and resends results that Redis did not confirm; its thread runs while there are any."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._lock = threading.Lock()
        self._held: dict[str, Call] = {}  # a claim's owner → the call that claimed it
        self._lost: set[str] = set()  # owners whose claim another has taken over
        self._unsent: dict[str, Call] = {}  # a claim's owner → the call with its result
        self._thread: threading.Thread | None = None

    def begin(self, owner: str, claim: Call) -> None:
        """Hold a claim from now on; if Redis loses its record, claim again under the same id."""
        with self._lock:
            self._held[owner] = claim
            self._start_heartbeat()

    def end(self, owner: str) -> None:
        """Stop holding a claim."""
        with self._lock:
            self._held.pop(owner, None)
            self._lost.discard(owner)

    def is_lost(self, owner: str) -> bool:
        """Return whether another request has taken over a held claim: this process could not renew it in time."""
        with self._lock:
            return owner in self._lost

    def send(self, owner: str, settle: Call) -> None:
        """Send the result of a claim; if Redis does not answer, send it later."""
        try:
            self._scripts.run(settle)
        except Unavailable:
            self.send_later({owner: settle})

    def send_later(self, settle: dict[str, Call]) -> None:
        """Send the results of claims, by owner, when Redis answers; above MAX_UNSENT the oldest are dropped."""
        with self._lock:
            self._unsent |= settle
            while len(self._unsent) > MAX_UNSENT:
                del self._unsent[next(iter(self._unsent))]
            self._start_heartbeat()

    def take_unsent(self, record: str | None = None) -> dict[str, Call]:
        """Remove and return the unsent results of one record, or all: the caller sends them."""
        with self._lock:
            taken = {owner: call for owner, call in self._unsent.items() if record in (None, call.given["record"])}
            for owner in taken:
                del self._unsent[owner]
            return taken

    def _start_heartbeat(self) -> None:
        """Start the heartbeat thread unless it runs; the caller holds the lock."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="claims", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Renew claims and send unsent results until there are none."""
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
            renewals = [(owner, claim.given["record"]) for owner, claim in held]
            calls = [Call("hold", record=key, owner=owner, held_seconds=LEASE_SECONDS) for owner, key in renewals]
            answers = self._scripts.run_all(calls)
            gone = [each for each, answer in zip(held, answers, strict=True) if answer == Result.NO_RECORD]
            claimed = self._scripts.run_all([claim for _, claim in gone])
        except Unavailable:
            return  # the next heartbeat tries again; until then another request may take over
        lost = {owner for (owner, _), answer in zip(held, answers, strict=True) if answer == Result.NOT_HELD}
        for (owner, claim), (result, *reply) in zip(gone, claimed, strict=True):
            if (result, reply) != (Result.CLAIMED, [_id(claim).encode()]):
                lost.add(owner)
            elif not self._is_held(owner):  # the request ended meanwhile and freed the claim
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
    """Return the id that a claiming call asks for."""
    return str(claim.given["image_id"])

"""Faults: which of them hit which services, in which order and for how long, from a seed; and causing them."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.deployment import LEASE, READY_SECONDS, Deployment, until
from tests.support.processes import descendants

FREEZES, OUTAGES = 0.2, 0.12  # faults of these sorts, for each kill of a service
SERVERS = ("redis", "cache", "minio", "postgres")
MAX_FREEZE = 2.0 * LEASE  # seconds: half of them are beyond the lease
MAX_ABSENCE = 1.0  # of a service that was killed
MAX_OUTAGE = 4.0  # of a server that was killed, or stands still
MAX_PAUSE = 0.8  # between a fault and the next
UNFINISHED = "stageline:moving"


@dataclass(frozen=True)
class Fault:
    """One fault."""

    sort: str
    """kill or freeze."""
    target: str
    """A service's label, or a server's name."""
    seconds: float
    """For how long the target is gone or stands still."""
    pause: float
    """Seconds before it."""


@dataclass
class Fallen:
    """What fell: by sort and target, how long it took until all were ready again, in seconds."""

    recoveries: dict[str, list[float]] = field(default_factory=dict)
    on_work: int = 0
    """How many fell while pictures were on their way."""

    @property
    def total(self) -> int:
        """How many faults fell."""
        return sum(map(len, self.recoveries.values()))

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(len(took) for name, took in self.recoveries.items() if name.startswith("kill"))


def plan(seed: int, kills: int, services: list[str]) -> list[Fault]:
    """Draw so many kills of services, and freezes and outages of servers beside them, in random order.

    No target is drawn again before each other of its kind was; each server has an outage, however few the kills.
    """
    draw = random.Random(seed)
    outages = max(len(SERVERS), round(kills * OUTAGES))
    found = [_of_service(draw, "kill", target) for target in _in_turn(draw, services, kills)]
    found += [_of_service(draw, "freeze", target) for target in _in_turn(draw, services, round(kills * FREEZES))]
    found += [_of_server(draw, target) for target in _in_turn(draw, SERVERS, outages)]
    draw.shuffle(found)
    return found


def _in_turn(draw: random.Random, targets: Sequence[str], count: int) -> list[str]:
    """Draw that many, so that each comes up before any does again."""
    rounds = range(-(-count // len(targets)))
    return [target for _ in rounds for target in draw.sample(targets, len(targets))][:count]


def _of_service(draw: random.Random, sort: str, target: str) -> Fault:
    longest = MAX_FREEZE if sort == "freeze" else MAX_ABSENCE
    return Fault(sort, target, draw.uniform(0, longest), draw.uniform(0, MAX_PAUSE))


def _of_server(draw: random.Random, target: str) -> Fault:
    return Fault(draw.choice(("kill", "freeze")), target, draw.uniform(0.2, MAX_OUTAGE), draw.uniform(0, MAX_PAUSE))


def fall(fault: Fault, on: Deployment, fallen: Fallen) -> None:
    """Let one fall; wait until its target, or after a server's fault every service, is ready again; note it.

    Raises:
        AssertionError: not ready in READY_SECONDS; the text says after which fault, and which service is not.
    """
    time.sleep(fault.pause)
    fallen.on_work += bool(on.queue.zcard(UNFINISHED))
    if fault.target in SERVERS:
        waiting, back = list(on.services.values()), _on_server(fault, on)
    else:
        waiting, back = [on.services[fault.target]], _on_service(fault, on)
    began = time.monotonic()
    back()
    try:
        until(lambda: all(service.ready() for service in waiting), READY_SECONDS)
    except AssertionError as error:
        late = [str(service.log) for service in waiting if not service.ready()]
        raise AssertionError(f"{fault} is over, and not all are ready again: {error}; see {late}") from None
    name = f"{fault.sort} {fault.target}"
    fallen.recoveries.setdefault(name, []).append(time.monotonic() - began)


def _on_service(fault: Fault, on: Deployment) -> Callable[[], None]:
    """Take a service away for as long as the fault says; return what gives it back."""
    service = on.services[fault.target]
    if fault.sort == "kill":
        service.kill()
        time.sleep(fault.seconds)
        return service.start
    service.signal(signal.SIGSTOP)
    time.sleep(fault.seconds)
    return lambda: service.signal(signal.SIGCONT)


def _on_server(fault: Fault, on: Deployment) -> Callable[[], None]:
    """The same of a server, with all of its processes: PostgreSQL has one for each connection."""
    server = getattr(on, fault.target)
    if fault.sort == "kill":
        server.kill()
        time.sleep(fault.seconds)
        return server.start
    os.kill(server.pid, signal.SIGSTOP)  # first, so that it starts no more of them
    stopped = [server.pid, *descendants(server.pid)]
    _signal(stopped, signal.SIGSTOP)
    time.sleep(fault.seconds)
    return lambda: _signal(stopped, signal.SIGCONT)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

"""Faults: which of them fall, on whom, in which order and for how long, from a seed; and letting them fall."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.deployment import LEASE, READY_SECONDS, Deployment, until

FREEZES, OUTAGES = 0.2, 0.12  # faults of these sorts, for each kill of a service
SERVERS = ("redis", "cache", "minio", "postgres")
LONGEST_FREEZE = 2.0 * LEASE  # seconds: half of them are beyond the lease
LONGEST_OUTAGE = 4.0
LONGEST_PAUSE = 0.8


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
    """What fell: by sort and target, how long each target took to say that it is ready again, in seconds."""

    recoveries: dict[str, list[float]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many faults fell."""
        return sum(map(len, self.recoveries.values()))

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(len(took) for name, took in self.recoveries.items() if name.startswith("kill"))


def plan(seed: int, kills: int, services: list[str]) -> list[Fault]:
    """Draw so many kills of services, and freezes and outages of servers beside them, in random order."""
    draw = random.Random(seed)
    sorts = ["kill"] * kills + ["freeze"] * round(kills * FREEZES) + ["outage"] * round(kills * OUTAGES)
    draw.shuffle(sorts)
    return [_fault(draw, sort, services) for sort in sorts]


def _fault(draw: random.Random, sort: str, services: list[str]) -> Fault:
    pause = draw.uniform(0, LONGEST_PAUSE)
    if sort == "outage":
        return Fault(draw.choice(("kill", "freeze")), draw.choice(SERVERS), draw.uniform(0.2, LONGEST_OUTAGE), pause)
    longest = 1.0 if sort == "kill" else LONGEST_FREEZE
    return Fault(sort, draw.choice(services), draw.uniform(0, longest), pause)


def fall(fault: Fault, on: Deployment, fallen: Fallen) -> None:
    """Let one fall, wait until its target is ready again, and note it."""
    time.sleep(fault.pause)
    wait = _on_server(fault, on) if fault.target in SERVERS else _on_service(fault, on)
    began = time.monotonic()
    wait()
    name = f"{fault.sort} {fault.target}"
    fallen.recoveries.setdefault(name, []).append(time.monotonic() - began)


def _on_service(fault: Fault, on: Deployment) -> Callable[[], None]:
    service = on.services[fault.target]
    if fault.sort == "freeze":
        with service.frozen():
            time.sleep(fault.seconds)
        return lambda: None
    service.kill()
    time.sleep(fault.seconds)
    service.start()
    return lambda: until(service.ready, READY_SECONDS)


def _on_server(fault: Fault, on: Deployment) -> Callable[[], None]:
    server = getattr(on, fault.target)
    if fault.sort == "freeze":
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(fault.seconds)
        server.process.send_signal(signal.SIGCONT)
        return lambda: None
    server.kill()
    time.sleep(fault.seconds)
    return server.start

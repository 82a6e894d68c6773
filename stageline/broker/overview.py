"""The state of the whole line in Redis: living workers, models they lack, the catalogue's backlog, and the problems.

Every time is of the server's clock.
"""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from stageline.broker.keys import MODELS, OUTCOMES, OUTCOMES_SINCE, WORKERS, queue_of
from stageline.broker.redis_client import reaching_redis
from stageline.pipeline import line
from stageline.registry.install import how_to_get
from stageline.registry.missing_models import ModelReport

MAX_BACKLOG = 1000  # outbox events; the catalogue takes them by the hundred
SHORT_SECONDS = 120.0
STALLED_SECONDS = 30.0  # without an outbox event written; another writer takes over a lease's time later


@dataclass(frozen=True)
class Overview:
    """The line at one moment.

    ``missing`` maps a stage and a model to how to get it, ``refused`` to why it was refused.
    """

    workers: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    outcomes: int = 0
    still_seconds: float = 0.0
    """Seconds since an outbox event was last written, while some wait."""
    problems: Sequence[str] = ()
    away: Sequence[str] = ()
    """A sentence for each stage that cannot reach the model store; the object store's check may report the same."""


def read(client: redis.Redis, lease_seconds: float) -> Overview:
    """Read the state of the line, in one round trip.

    This is not a transaction, since Redis refuses transactions, of reads too, while it is out of memory. The list is
    read before its time, so a new outbox event never gets the time of an older one.

    Raises:
        Unavailable: Redis cannot be reached.
    """
    with reaching_redis():
        pipe = client.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(WORKERS, 0, -1, withscores=True)
        pipe.hgetall(MODELS)
        pipe.llen(OUTCOMES)
        pipe.get(OUTCOMES_SINCE)
        (seconds, micro), heartbeats, models, outcomes, since = pipe.execute()
    now = seconds + micro / 1e6
    alive = [identity for identity, heartbeat in heartbeats if abs(now - heartbeat) <= lease_seconds]
    queues = {identity: queue_of(identity.decode(errors="replace")) for identity in alive}
    still = _still(now, outcomes, since)
    stages = []
    for stage in line.LINE:
        own = [identity for identity, queue in queues.items() if queue == stage.queue]
        stages.append(
            _Stage(stage.name, len(own), [ModelReport.decode(models[each]) for each in own if each in models])
        )
    return Overview(
        workers={stage.name: stage.workers for stage in stages},
        missing={stage.name: found for stage in stages if (found := stage.missing())},
        refused={stage.name: found for stage in stages if (found := stage.refused())},
        outcomes=outcomes,
        still_seconds=round(still, 1),
        problems=[
            *(f"no {stage.name} worker is alive: its queue waits" for stage in stages if not stage.workers),
            *(sentence for stage in stages for sentence in stage.problems()),
            *_behind(outcomes, still, lease_seconds),
        ],
        away=[sentence for stage in stages for sentence in stage.away()],
    )


@dataclass(frozen=True)
class _Stage:
    """A stage, the number of its living workers, and the reports of those that lack models."""

    name: str
    workers: int
    lacks: Sequence[ModelReport]

    def missing(self) -> dict[str, str]:
        return {name: how_to_get(name) for name in sorted({name for lack in self.lacks for name in lack.missing})}

    def refused(self) -> dict[str, str]:
        return {name: reason for lack in self.lacks for name, reason in sorted(lack.refused.items())}

    def problems(self) -> list[str]:
        """Return a sentence for each missing model that the stage needs, and for each refused model."""
        refused, lacked = self.refused(), Counter(name for lack in self.lacks for name in lack.degrading)
        found = []
        for name, count in sorted(lacked.items()):
            why = f"which is missing: {how_to_get(name)}"
            if name in refused:
                why = f"which it cannot take up: {refused.pop(name)}"
            found.append(f"{self._some(count)} finds nothing by its model {name}, {why}")
        for name, reason in refused.items():
            count = sum(name in lack.refused for lack in self.lacks)
            found.append(f"{self._some(count)} cannot take up its model {name}: {reason}")
        return found

    def away(self) -> list[str]:
        reasons = [lack.away for lack in self.lacks if lack.away]
        return [f"{self._some(len(reasons))} goes on with the models it has: {reasons[0]}"] if reasons else []

    def _some(self, count: int) -> str:
        return self.name if count >= self.workers else f"{self.name} (in {count} of {self.workers} workers)"


def _still(now: float, outcomes: int, since: Any) -> float:
    """Seconds since an outbox event was last written, while some wait; 0 when that is not known."""
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, now - float(since)) if outcomes else 0.0
    return 0.0


def _behind(outcomes: int, still: float, lease_seconds: float) -> list[str]:
    if still > STALLED_SECONDS + lease_seconds:
        waits = "1 outcome waits" if outcomes == 1 else f"{outcomes} outcomes wait"
        stands = f"the catalogue has written nothing for {_long(still)} while {waits}"
        return [f"{stands}: see that catalogue_service runs, and that its database takes writes (DATABASE_URL)"]
    if outcomes > MAX_BACKLOG:
        return [f"the catalogue is {outcomes} outcomes behind: see that catalogue_service runs (DATABASE_URL)"]
    return []


def _long(seconds: float) -> str:
    """A duration in words; in minutes when long, as a sentence that changes each second is announced each time."""
    return f"{seconds:.0f} s" if seconds < SHORT_SECONDS else f"{seconds // 60:.0f} min"

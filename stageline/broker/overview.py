"""What Redis knows of the line as a whole: which workers live, which models they lack, whether the catalogue moves on.

With a sentence for each thing that is wrong. Of all times, the server's clock alone counts.
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

BEHIND = 1000  # outcomes; the catalogue takes them by the hundred
SHORT_SECONDS = 120.0
STILL_SECONDS = 30.0  # without an outcome written, and a lease's time more, after which another writer takes over


@dataclass(frozen=True)
class Overview:
    """The line at a moment; ``missing`` and ``refused`` go from a stage to a model to how to get it, or to why."""

    workers: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    outcomes: int = 0
    still_seconds: float = 0.0
    """For how long no outcome was written down, while some wait."""
    problems: Sequence[str] = ()
    away: Sequence[str] = ()
    """A sentence for each stage that cannot reach the model store, which the object store may say already."""


def read(client: redis.Redis, lease_seconds: float) -> Overview:
    """Ask Redis, in one round trip.

    It is no transaction: Redis refuses those, of reads too, while it is out of memory. In this order an outcome that
    comes meanwhile is never taken for one that stands since what stood before it.

    Raises:
        Unavailable: Redis is away.
    """
    with reaching_redis():
        pipe = client.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(WORKERS, 0, -1, withscores=True)
        pipe.hgetall(MODELS)
        pipe.llen(OUTCOMES)
        pipe.get(OUTCOMES_SINCE)
        (seconds, micro), beats, told, outcomes, since = pipe.execute()
    now = seconds + micro / 1e6
    alive = [identity for identity, beat in beats if abs(now - beat) <= lease_seconds]  # see lua/expired_leases.lua
    counted = Counter(queue_of(identity.decode(errors="replace")) for identity in alive)
    lacks: dict[str, list[ModelReport]] = {stage.queue: [] for stage in line.LINE}
    for identity in alive:
        queue = queue_of(identity.decode(errors="replace"))
        if identity in told and queue in lacks:
            lacks[queue].append(ModelReport.decode(told[identity]))
    still = _still(now, outcomes, since)
    stages = [_Stage(stage.name, counted[stage.queue], lacks[stage.queue]) for stage in line.LINE]
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
    """A stage, its living workers, and what those say that lack something."""

    name: str
    workers: int
    lacks: Sequence[ModelReport]

    def missing(self) -> dict[str, str]:
        return {name: how_to_get(name) for name in sorted({name for lack in self.lacks for name in lack.missing})}

    def refused(self) -> dict[str, str]:
        return {name: reason for lack in self.lacks for name, reason in sorted(lack.refused.items())}

    def problems(self) -> list[str]:
        """A sentence for each model that is missing and that the stage cannot do without, or that is refused."""
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
    """Seconds since an outcome was last written down, while some wait; 0 where that is not known."""
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, now - float(since)) if outcomes else 0.0
    return 0.0


def _behind(outcomes: int, still: float, lease_seconds: float) -> list[str]:
    if still > STILL_SECONDS + lease_seconds:
        waits = "1 outcome waits" if outcomes == 1 else f"{outcomes} outcomes wait"
        stands = f"the catalogue has written nothing for {_long(still)} while {waits}"
        return [f"{stands}: see that catalogue_service runs, and that its database takes writes (DATABASE_URL)"]
    if outcomes > BEHIND:
        return [f"the catalogue is {outcomes} outcomes behind: see that catalogue_service runs (DATABASE_URL)"]
    return []


def _long(seconds: float) -> str:
    """A time in words; in minutes soon, since a sentence that is always new is always read anew."""
    return f"{seconds:.0f} s" if seconds < SHORT_SECONDS else f"{seconds // 60:.0f} min"

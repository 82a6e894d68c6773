"""Counts of the last minutes: one Redis hash per minute, which the transitions write.

Durations are counted in buckets that grow by a fifth, as in a Prometheus native histogram. A percentile read from the
buckets is within a tenth of the true one, whatever the range, and costs each transition one addition.
"""

import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import redis

from stageline.broker.keys import minute_key
from stageline.broker.redis_client import reaching_redis
from stageline.core import clock
from stageline.core.timestamps import iso
from stageline.pipeline import line

GROWTH = 1.2
WHOLE = "line"  # counted like a stage: the whole line, from accepting a picture to its end
PERCENTILES = (50, 95, 99)
MINUTE = 60


def counts(what: str, outcome: str, ms: float | None = None) -> dict[str, int]:
    """The counters of one outcome at a stage, or of the whole line, and of its duration."""
    if ms is None:
        return {f"{what}:{outcome}": 1}
    bucket = max(0, math.ceil(math.log(max(ms, 1.0), GROWTH)))
    return {f"{what}:{outcome}": 1, f"{what}:ms": round(ms), f"{what}:<{bucket}": 1}


def read(client: redis.Redis, minutes: int, at: float | None = None) -> dict[str, Any]:
    """Sum up the last minutes, including the present one.

    Returns:
        ``at``, the time now; ``seconds``, the length of these minutes; ``line`` and ``stages`` with their counts (see
        ``_summary``); and ``series``: accepted, completed and failed by minute, oldest first.

    Raises:
        Unavailable: Redis is away.
    """
    now = clock.seconds() if at is None else at
    starts = [(int(now // MINUTE) - back) * MINUTE for back in reversed(range(minutes))]
    with reaching_redis():
        pipe = client.pipeline(transaction=False)
        for start in starts:
            pipe.hgetall(minute_key(start))
        found = [{name.decode(): int(count) for name, count in each.items()} for each in pipe.execute()]
    total: Counter[str] = Counter()
    for each in found:
        total.update(each)
    seconds = max(1.0, now - starts[0])
    series = [
        {"at": _iso(start), **{name: each.get(f"{WHOLE}:{name}", 0) for name in ("accepted", "completed", "failed")}}
        for start, each in zip(starts, found, strict=True)
    ]
    stages = {stage.name: _summary(total, stage.name, seconds) for stage in line.LINE}
    whole = {"at": _iso(now), "seconds": seconds, "line": _summary(total, WHOLE, seconds)}
    return {**whole, "stages": stages, "series": series}


def _summary(total: Mapping[str, int], what: str, seconds: float) -> dict[str, Any]:
    """The outcomes, mean and percentiles (in ms; null without any) of a stage or of the whole line."""
    prefix = f"{what}:"
    own = {name.removeprefix(prefix): count for name, count in total.items() if name.startswith(prefix)}
    buckets = {int(name[1:]): count for name, count in own.items() if name.startswith("<")}
    timed = sum(buckets.values())
    outcomes = {name: count for name, count in own.items() if name != "ms" and not name.startswith("<")}
    mean = round(own.get("ms", 0) / timed, 1) if timed else None
    percentiles = {f"p{percent}_ms": percentile(buckets, percent) for percent in PERCENTILES}
    ended = own.get("done", 0) + own.get("completed", 0)
    return {**outcomes, "mean_ms": mean, **percentiles, "throughput_per_second": round(ended / seconds, 3)}


def percentile(buckets: Mapping[int, int], percent: float) -> float | None:
    """The percentile, in ms, of durations counted in buckets; None without durations."""
    wanted, seen = sum(buckets.values()) * percent / 100, 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted > 0:
            return round(cast("float", GROWTH ** (bucket - 0.5)), 1)
    return None


def _iso(seconds: float) -> str:
    return iso(datetime.fromtimestamp(seconds, UTC))

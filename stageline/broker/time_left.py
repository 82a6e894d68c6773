"""Estimates how long a picture still takes, from the times of the last pictures.

The model: a picture waits for the pictures before it, one of which ends every ``gap`` seconds, and then takes ``alone``
seconds. lua/_shared.lua updates the model each time a picture ends. ``gap`` is a moving mean of the time between two
ends while other pictures were in progress. ``alone`` is a moving mean of the time of pictures with no others before
them. ``ratio`` is actual time divided by estimated time, which corrects the estimate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis

from stageline.broker.keys import PACE, UNFINISHED
from stageline.broker.redis_client import reaching_redis
from stageline.pipeline import line


@dataclass(frozen=True)
class Remaining:
    """The number of pictures before this one, and the seconds it still takes (None: no times are known yet)."""

    position: int
    seconds: float | None


def remaining(client: redis.Redis, image_ids: Sequence[str], stages_done: Mapping[str, int]) -> dict[str, Remaining]:
    """Estimate the time left of each picture in progress; ``stages_done`` counts the stages each has completed.

    Raises:
        Unavailable: Redis is away.
    """
    with reaching_redis():
        pipe = client.pipeline(transaction=False)
        pipe.hgetall(PACE)
        for image_id in image_ids:
            pipe.zrank(UNFINISHED, image_id)
        known, *ranks = pipe.execute()
    pace = {name.decode(): float(value) for name, value in known.items()}
    return {
        image_id: Remaining(rank, _seconds(pace, rank, stages_done.get(image_id, 0)))
        for image_id, rank in zip(image_ids, ranks, strict=True)
        if rank is not None
    }


def _seconds(pace: Mapping[str, float], rank: int, done: int) -> float | None:
    if "gap" not in pace or "alone" not in pace:
        return None
    own = pace["alone"] * max(1, len(line.LINE) - done) / len(line.LINE)
    return round((rank * pace["gap"] + own) * pace.get("ratio", 1.0), 2)

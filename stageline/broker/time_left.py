"""How long a picture still takes, by what the last pictures took.

The model: a picture waits until those before it are done, one every ``gap`` seconds, and then takes what one takes
``alone``. lua/_shared.lua learns all of it, each time a picture comes to its end: ``gap`` is a moving mean of the time
between two ends while others were on their way, ``alone`` one of the time of pictures that found nothing before them,
and ``ratio`` is how much longer than estimated pictures really took, so that the estimate corrects itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis

from stageline.broker.keys import PACE, UNFINISHED
from stageline.broker.redis_client import reaching_redis
from stageline.pipeline import line


@dataclass(frozen=True)
class Remaining:
    """What is before a picture: how many others, and the seconds that it still takes (None: nothing is known yet)."""

    position: int
    seconds: float | None


def remaining(client: redis.Redis, image_ids: Sequence[str], stages_done: Mapping[str, int]) -> dict[str, Remaining]:
    """Estimate, for each picture that is on its way, what is left; ``stages_done`` counts what it has behind it.

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

"""What Redis may still hold at rest, by the keys that docs/architecture.md names; all else is left over."""

from collections.abc import Iterator

import redis

STATUS, DELETED = "stageline:status:", "deleted"
OUTCOMES = "stageline:outcomes"
OF_WORKERS = ("stageline:workers", "stageline:models", "stageline:announced")
STAY = (*OF_WORKERS, "stageline:events", "stageline:pace", f"{OUTCOMES}:since")
EXPIRE = (STATUS, "stageline:once:", "stageline:batch:", "stageline:minute:", f"{OUTCOMES}:writer")
NAME_A_PICTURE = ("stageline:named:", "stageline:sha256:")
DEAD_COUNTS = "stageline:dead"


def left_in_redis(queue: redis.Redis, there: set[str]) -> Iterator[str]:
    """Say what is left over.

    Args:
        queue: where to look.
        there: the ids of pictures that are not deleted.
    """
    for key in sorted(queue.scan_iter(count=1000)):
        if key in STAY:
            continue
        if key == DEAD_COUNTS:
            counts = {stage: count for stage, count in queue.hgetall(key).items() if count != "0"}
            if counts:
                yield f"Redis counts dead letters: {counts}"
        elif not key.startswith((*EXPIRE, *NAME_A_PICTURE)):
            yield f"Redis has {key}, which is empty or unknown at rest"
        elif queue.ttl(key) == -1:
            yield f"Redis keeps {key} for ever"
        elif key.startswith(NAME_A_PICTURE) and (named := queue.get(key)) not in (None, *there):
            yield f"Redis has {key}, which names {named}, and that is no picture"

"""What Redis shows of workers, by the keys that docs/architecture.md names."""

import redis


def in_flight(queue: redis.Redis) -> dict[str, list[str]]:
    """The messages in flight at each worker that Redis knows, by its identity: <queue>:<label>:<start>."""
    identities = queue.zrange("stageline:workers", 0, -1)
    return {identity: queue.lrange(f"stageline:inflight:{identity}", 0, -1) for identity in identities}


def held_by(queue: redis.Redis, label: str) -> list[str]:
    """The messages in flight at the workers of that label."""
    return [raw for identity, held in in_flight(queue).items() if identity.split(":")[1] == label for raw in held]


def silence(queue: redis.Redis) -> dict[str, float]:
    """Seconds since the last heartbeat of each worker, by Redis's clock."""
    second, microsecond = queue.time()
    now = second + microsecond / 1e6
    return {
        identity: now - heartbeat for identity, heartbeat in queue.zrange("stageline:workers", 0, -1, withscores=True)
    }

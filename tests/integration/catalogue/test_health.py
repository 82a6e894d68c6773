"""The catalogue's health: ready means that outbox events are written down, by this process or by another."""

import threading

import pytest

from catalogue_service.consumer import OutboxConsumer
from catalogue_service.lease import WriterLease
from stageline.broker.keys import OUTCOMES
from stageline.broker.redis_client import connect
from stageline.catalogue.writer import Applied
from stageline.core.errors import Unavailable
from tests.support.catalogue_makers import outbox_event
from tests.support.served_api import until

LEASE_SECONDS = 2.0


def test_health_is_not_ready_while_nothing_is_written(settings) -> None:
    """Every server answers, and still the writer cannot write, or cannot ask for its lease: health says which."""
    redis, writes = connect(settings.redis_url), False

    class Moody:
        def apply(self, batch: list[bytes]) -> Applied:
            if not writes:
                raise Unavailable("the database takes nothing now")
            return Applied(len(batch))

    lease = WriterLease(settings.redis_url, LEASE_SECONDS)
    consumer = OutboxConsumer(settings.redis_url, Moody(), lease)
    with pytest.raises(Unavailable, match="its tables are being looked at"):
        consumer.check()
    redis.rpush(OUTCOMES, outbox_event("a", "processing"))
    lease.start()
    running = threading.Thread(target=consumer.run)
    running.start()
    try:
        until(lambda: "takes nothing now" in why(consumer))
        writes = True
        until(lambda: why(consumer) == "" and redis.llen(OUTCOMES) == 0)
        redis.config_set("min-replicas-to-write", "1")
        until(lambda: "nobody is known to write the catalogue: Redis does not take this now" in why(consumer))
    finally:
        redis.config_set("min-replicas-to-write", "0")
        consumer.end()
        running.join()
        lease.end()


def why(consumer: OutboxConsumer) -> str:
    """Why it is not ready."""
    try:
        consumer.check()
    except Unavailable as error:
        return str(error)
    return ""

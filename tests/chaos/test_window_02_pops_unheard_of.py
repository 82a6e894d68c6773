"""Window 2: a worker holds messages in Redis that it knows nothing of, and works on them as long as it lives.

The windows: Redis pops for a worker, and the connection breaks before it hears of that; and a failover to a replica
that lags: there the worker's list still holds what it has handed on, and what it holds still waits in the queue. The
lease is long, and the worker lives: nothing else returns what it holds.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.chaos.deployment import Deployment, until
from tests.chaos.pictures import picture
from tests.chaos.windows import BATCH_SIZE, Broken, promised
from tests.support.cutting_proxy import CuttingProxy
from tests.support.servers import RedisServer

LEASE = "60"
# Requests on the wire: the first pop, and the script that takes more, which has the queue as the first of two keys.
POPS_ONE, POPS_MORE = b"BLMOVE\r\n$12\r\nresize_queue\r\n", b"$1\r\n2\r\n$12\r\nresize_queue\r\n"
HOST = "127.0.0.1"
MANY = 100  # refusals: more than the services have connections, by far
READS_AN_ORIGINAL = "GET /images/original/"


def ids(queue: redis.Redis, name: str) -> list[str]:
    """The pictures of a list's messages."""
    return [json.loads(message)["image_id"] for message in queue.lrange(name, 0, -1)]


def held(queue: redis.Redis) -> list[str]:
    """The pictures of the messages in the lists of the workers of resize."""
    return [image_id for name in queue.keys("stageline:inflight:resize_queue:*") for image_id in ids(queue, name)]


def assert_each_is_handed_on_once(queue: redis.Redis, sent: list[str]) -> None:
    """All come to the next queue, by the worker that they were given to, and nothing stays behind."""
    until(lambda: set(ids(queue, "grayscale_queue")) == set(sent))
    until(lambda: not held(queue) and not queue.exists("resize_queue"))
    assert sorted(ids(queue, "grayscale_queue")) == sorted(sent)
    messages = [json.loads(message) for message in queue.lrange("grayscale_queue", 0, -1)]
    assert {message["stages"]["resize"]["attempt"] for message in messages} == {1}, (
        "a lease was thought to have run out"
    )


@pytest.mark.parametrize(
    ("words", "popped"), [(POPS_ONE, 1), (POPS_MORE, 5)], ids=["after BLMOVE", "after taking more"]
)
def test_what_was_popped_as_the_connection_broke_is_worked_on(
    deploy: Callable[..., Deployment], new_proxy: Callable[[], CuttingProxy], words: bytes, popped: int
) -> None:
    """Redis pops, and its answer is lost with every connection of the worker: it works on all, each once."""
    deployment, proxy = deploy(LEASE_SECONDS=LEASE), new_proxy()
    proxy.target = deployment.redis.port
    worker = deployment.add("resize", REDIS_URL=proxy.url)
    deployment.start("grab")
    sent = [deployment.api.take(picture(number)) for number in range(8)]
    proxy.hold_from(words, answer=True)
    worker.start()
    until(lambda: proxy.held and held(deployment.queue) == sent[:popped])
    proxy.drop_connections()
    proxy.mend()
    assert_each_is_handed_on_once(deployment.queue, sent)


@pytest.fixture
def failover(
    deploy: Callable[..., Deployment], new_proxy: Callable[[], CuttingProxy], tmp_path: Path
) -> Iterator[tuple[Deployment, CuttingProxy, RedisServer, list[str]]]:
    """A deployment at the moment before, its way to Redis, a replica that lags, and the pictures that were sent."""
    front, link, store = new_proxy(), new_proxy(), new_proxy()
    deployment = deploy(REDIS_URL=front.url, CACHE_URL="off", LEASE_SECONDS=LEASE)
    front.target = link.target = deployment.redis.port
    store.target = deployment.minio.port
    deployment.add("resize", MINIO_ENDPOINT=store.endpoint, PREFETCH="3")
    deployment.start_servers()
    deployment.queue.config_set("repl-diskless-sync-delay", 0)
    replica = RedisServer(tmp_path / "replica", ["--replicaof", HOST, str(link.port)])
    replica.start()
    try:
        sent = open_the_window(deployment, link, store, replica)
        client(replica).replicaof("NO", "ONE")
        front.target = replica.port
        store.mend()
        yield deployment, front, replica, sent
    finally:
        replica.kill()


def test_a_failover_to_a_replica_that_lags_leaves_nothing_behind(failover: tuple) -> None:
    """By the replica some are in the worker's list that it has handed on, and others wait that it works on now."""
    deployment, _, replica, sent = failover
    deployment.redis.kill()
    assert_each_is_handed_on_once(client(replica), sent)


@pytest.mark.xfail(
    strict=True,
    raises=Broken,
    reason="who has a connection to a primary that is demoted, and lives, is refused there with READONLY for ever: it "
    "waits, and never connects anew, as it must to find the new primary under the same address",
)
@pytest.mark.long
def test_a_failover_from_a_primary_that_lives_on_leaves_nothing_behind(failover: tuple) -> None:
    """The same, where the old primary becomes a replica, and connections to it that stand are not broken."""
    deployment, _, replica, sent = failover
    old, new = deployment.queue, client(replica)
    old.replicaof(HOST, replica.port)
    until(lambda: set(ids(new, "grayscale_queue")) == set(sent) or refusals(old) >= MANY)
    asked = f"all are handed on, while the services ask the old one {refusals(old)} times"
    promised(asked, set(ids(new, "grayscale_queue")) == set(sent))
    assert_each_is_handed_on_once(new, sent)


def refusals(server: redis.Redis) -> int:
    """How often a server said READONLY."""
    return int(server.info("errorstats").get("errorstat_READONLY", {"count": 0})["count"])


def client(of: RedisServer) -> redis.Redis:
    """A connection to a server, for looking at what it holds."""
    return redis.Redis(port=of.port, decode_responses=True, socket_timeout=30)


def open_the_window(deployment: Deployment, link: CuttingProxy, store: CuttingProxy, replica: RedisServer) -> list[str]:
    """Start the services, and have the replica lag while the worker hands some on and takes others; return them all."""
    old, new = deployment.queue, client(replica)
    until(lambda: new.info("replication")["master_link_status"] == "up")
    deployment.start("grab", "resize")
    store.hold_from(READS_AN_ORIGINAL)
    sent = [deployment.api.take(picture(number)) for number in range(6)]
    until(lambda: held(new) == sent[:3] and ids(new, "resize_queue") == sent[3:])

    link.hold()
    store.hold_from(READS_AN_ORIGINAL + sent[3])
    store.release()
    until(lambda: store.held > 1 and ids(old, "grayscale_queue") and sent[3] in held(old))
    until(lambda: held(new) == sent[:3] and ids(new, "resize_queue") == sent[3:], BATCH_SIZE)
    return sent

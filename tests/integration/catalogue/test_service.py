"""The service: outbox events off the list and into the catalogue, whatever dies meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3

from catalogue_service.consumer import OutboxConsumer
from catalogue_service.lease import KEY, WriterLease
from stageline.broker.keys import OUTCOMES
from stageline.broker.redis_client import Call, Scripts, connect
from stageline.catalogue import open_engine
from stageline.catalogue.writer import Writer
from stageline.core.errors import Unavailable
from stageline.core.settings import Settings
from stageline.local.ports import free_port
from stageline.store import FolderStore
from tests.support.catalogue_makers import dump, outbox_event, stream
from tests.support.servers import PostgresServer, RedisServer
from tests.support.serving import served

LEASE_SECONDS = 2.0
HALTING = """
import sys, time
if sys.orig_argv[-1] == "catalogue_service":
    from catalogue_service.consumer import OutboxConsumer
    real, taken = OutboxConsumer.step, []
    def step(self):
        if sum(taken) >= 1000:
            time.sleep(3600)
        taken.append(real(self))
        return taken[-1]
    OutboxConsumer.step = step
"""  # so that some is left whenever it is killed


@pytest.fixture
def redis(redis_server: RedisServer):
    found = connect(redis_server.url)
    found.flushall()
    return found


@pytest.fixture
def bucket(tmp_path) -> FolderStore:
    found = FolderStore(tmp_path / "data" / "images")
    found.check()
    return found


@pytest.fixture
def own_postgres(tmp_path) -> Iterator[PostgresServer]:
    """A PostgreSQL that a test may kill."""
    with served(PostgresServer(tmp_path / "own-postgres")) as server:
        yield server


def happens(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def start_service(tmp_path, redis_server) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start the service as its container does; whatever runs is killed at the end."""
    started = []

    def start(url: str | None, **more: str) -> subprocess.Popen:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        own = {"REDIS_URL": redis_server.url, "STAGELINE_DATA": str(tmp_path / "data"), "HEALTH_PORT": "0"}
        own |= {"LEASE_SECONDS": str(LEASE_SECONDS), **({"DATABASE_URL": url} if url else {}), **more}
        with (tmp_path / "service.log").open("ab") as log:
            command = [sys.executable, "-P", "-m", "catalogue_service"]
            started.append(subprocess.Popen(command, env=kept | own, stdout=log, stderr=log))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def expected(tmp_path: Path, batch: list[bytes], bucket: FolderStore) -> dict:
    """The rows that one writer makes which nothing disturbs."""
    from stageline.catalogue.migrate import migrate

    engine = open_engine(Settings(stageline_data=tmp_path / "undisturbed"))
    migrate(engine)
    Writer(engine, bucket, 0).apply(batch)
    return dump(engine)


def outbox_events(count: int) -> list[bytes]:
    return [raw for n in range(count) for raw in stream(f"p{n:04}", n, "failed" if n % 9 == 0 else "completed")]


def test_the_service_writes_what_is_on_the_list(redis, start_service, bucket, tmp_path) -> None:
    """From nothing: it makes the tables, writes, empties the list, and ends at SIGTERM."""
    port = free_port()
    batch = outbox_events(700)
    redis.rpush(OUTCOMES, *batch)
    process = start_service(None, HEALTH_PORT=str(port))
    happens(lambda: redis.llen(OUTCOMES) == 0)
    redis.rpush(OUTCOMES, outbox_event("late", "processing"), b"no outcome at all")
    happens(lambda: redis.llen(OUTCOMES) == 0)
    engine = open_engine(Settings(stageline_data=tmp_path / "data"))
    rows = dump(engine)
    assert [row["image_key"] for row in rows["image_info"] if row["status"] == "processing"] == ["late"]
    assert len(rows["image_info"]) == 701
    http = urllib3.PoolManager()
    ready = http.request("GET", f"http://127.0.0.1:{port}/readyz")
    assert (ready.status, ready.json()["checks"]) == (200, {"redis": "ok", "object_store": "ok", "catalogue": "ok"})
    happens(  # it counts them after it has taken them off the list
        lambda: (
            'stageline_outcomes_total{result="skipped"} 1.0'
            in http.request("GET", f"http://127.0.0.1:{port}/metrics").data.decode()
        )
    )
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert redis.get(KEY) is None


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_killed_again_and_again_it_writes_each_outbox_event_once(
    kind, redis, start_service, bucket, tmp_path, request
) -> None:
    """SIGKILL at any moment, and a successor that takes over when the lease has expired: the same rows."""
    url = request.getfixturevalue("postgres_server").create_database("killed") if kind == "postgres" else None
    batch = outbox_events(1500)
    redis.rpush(OUTCOMES, *batch)
    (tmp_path / "sitecustomize.py").write_text(HALTING)
    for pause in (0.0, 0.05, 0.1):
        left = redis.llen(OUTCOMES)
        process = start_service(url, PYTHONPATH=str(tmp_path))
        happens(lambda left=left: redis.llen(OUTCOMES) < left)
        time.sleep(pause)
        process.kill()
        process.wait()
    assert redis.llen(OUTCOMES) > 0, "nothing was left to be killed at"
    start_service(url)
    happens(lambda: redis.llen(OUTCOMES) == 0)
    engine = open_engine(Settings(database_url=url, stageline_data=tmp_path / "data"))
    assert dump(engine) == expected(tmp_path, batch, bucket)


def test_killed_between_writing_and_trimming_it_writes_the_batch_again(
    catalogue_engine, redis, redis_server, bucket
) -> None:
    """What was applied, and is still on the list, changes nothing."""
    lease = WriterLease(redis_server.url, 30)
    lease.renew()
    writer = Writer(catalogue_engine, bucket, 0)
    batch = outbox_events(20)
    redis.rpush(OUTCOMES, *batch)
    writer.apply(batch)
    before = dump(catalogue_engine)
    consumer = OutboxConsumer(redis_server.url, writer, lease)
    assert consumer.step() == len(batch)
    assert redis.llen(OUTCOMES) == consumer.step() == 0
    assert dump(catalogue_engine) == before


def test_two_services_at_once_write_what_one_would(redis, start_service, bucket, tmp_path, postgres_server) -> None:
    """One writes and the other stands by; when the first is killed the second goes on."""
    url = postgres_server.create_database("two")
    both = [start_service(url), start_service(url)]
    batch = outbox_events(600)
    redis.rpush(OUTCOMES, *batch[:900])
    happens(lambda: redis.llen(OUTCOMES) == 0)
    both[0].kill()
    redis.rpush(OUTCOMES, *batch[900:])
    happens(lambda: redis.llen(OUTCOMES) == 0)
    assert both[1].poll() is None
    assert dump(open_engine(Settings(database_url=url))) == expected(tmp_path, batch, bucket)


def test_while_postgresql_is_away_outbox_events_wait_and_none_is_lost(
    redis, start_service, bucket, tmp_path, own_postgres
) -> None:
    """Away from the start, then killed in the middle: the service waits, and catches up by itself."""
    url = own_postgres.url
    own_postgres.kill()
    batch = outbox_events(1500)
    redis.rpush(OUTCOMES, *batch[:600])
    process = start_service(url)
    happens(lambda: redis.exists(KEY) == 0 and b"waiting" in (tmp_path / "service.log").read_bytes())
    assert redis.llen(OUTCOMES) == 600
    own_postgres.start()
    happens(lambda: redis.llen(OUTCOMES) < 600)
    own_postgres.kill()
    redis.rpush(OUTCOMES, *batch[600:])
    own_postgres.start()
    happens(lambda: redis.llen(OUTCOMES) == 0)
    assert process.poll() is None
    assert dump(open_engine(Settings(database_url=url))) == expected(tmp_path, batch, bucket)


def test_only_the_holder_trims_and_only_what_it_read(redis, redis_server) -> None:
    """The list stays as it is for anybody else, and where its head has changed."""
    redis.rpush(OUTCOMES, *(f"{n}" for n in range(5)))
    scripts = Scripts(redis)

    def trim(who: str, count: int, first: str, last: str) -> int:
        return scripts.run(Call("trim_outcomes", writer=KEY, identity=who, count=count, first=first, last=last))

    assert trim("me", 2, "0", "1") == 0
    redis.set(KEY, "you")
    assert trim("me", 2, "0", "1") == 0
    redis.set(KEY, "me")
    assert trim("me", 2, "1", "2") == trim("me", 2, "0", "2") == trim("me", 9, "0", "4") == 0
    assert redis.llen(OUTCOMES) == 5
    assert trim("me", 2, "0", "1") == 1
    assert redis.lrange(OUTCOMES, 0, -1) == [b"2", b"3", b"4"]


def test_the_lease_is_held_by_one_and_goes_over(redis, redis_server) -> None:
    first, second = WriterLease(redis_server.url, 30), WriterLease(redis_server.url, 30)
    first.renew()
    second.renew()
    first.renew()
    assert (first.is_held, second.is_held) == (True, False)
    redis.delete(KEY)
    second.renew()
    first.renew()
    assert (first.is_held, second.is_held) == (False, True)


def test_without_redis_the_lease_is_not_held(start_redis) -> None:
    server = start_redis(at_once=False)
    lease = WriterLease(server.url, 1)
    with pytest.raises(Unavailable, match="REDIS_URL"):
        lease.renew()
    assert not lease.is_held

"""The reaper: what dead workers held goes back, in time, whichever other processes run."""

import time
from pathlib import Path

import pytest

from grab_service.http.app import create_app
from grab_service.line.intake import Intake
from stageline.broker import keys, overview
from stageline.broker.consumer import Consumer
from stageline.broker.producer import Producer
from stageline.maintenance.reaper import FORGET_SECONDS, GRACE_SECONDS, Reaper
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.store import FolderStore
from stageline.worker.heartbeat import Lease
from tests.support.fake_time import clock_of
from tests.support.redis_moods import program
from tests.support.served_api import until
from tests.support.servers import RedisServer
from tests.support.serving import served

RESIZE = line.stage("resize")
LEASE_SECONDS = 30.0  # no test waits for that: see let_expire


@pytest.fixture
def producer(settings) -> Producer:
    return Producer(settings.redis_url, 100)


@pytest.fixture
def consumer(settings) -> Consumer:
    return Consumer(settings.redis_url, RESIZE, "one", 60)


@pytest.fixture
def reaper(settings) -> Reaper:
    """One that has been up for longer than its grace."""
    found = Reaper(settings.model_copy(update={"lease_seconds": LEASE_SECONDS}))
    found._quiet_until = 0.0
    return found


def queue_up(producer: Producer, *names: str) -> None:
    for name in names:
        message = Message.of({"image_id": name, "original_path": f"original/{name}.jpg", "attempt": 1})
        producer.accept(message)


def let_expire(consumer: Consumer) -> None:
    """Have its last heartbeat be longer ago than its lease."""
    consumer.client.zincrby(keys.WORKERS, -(LEASE_SECONDS + 1), consumer.identity)


def waiting(producer: Producer) -> list[tuple[str, int]]:
    found = [Message.decode(raw) for raw in producer.client.lrange(RESIZE.queue, 0, -1)]
    return [(message.image_id, message.attempt) for message in found]


def test_what_a_dead_worker_held_goes_back_first_and_counted(producer, consumer, reaper) -> None:
    """In its old order, at the head of the queue, one attempt more; only once its lease has run out."""
    queue_up(producer, "a", "b", "c")
    consumer.heartbeat(LEASE_SECONDS)
    consumer.take(0.1)
    consumer.take(0.1)
    reaper.sweep()
    assert waiting(producer) == [("c", 1)], "a living worker keeps what it holds"
    let_expire(consumer)
    reaper.sweep()
    assert waiting(producer) == [("a", 2), ("b", 2), ("c", 1)]
    reaper.sweep()
    assert len(waiting(producer)) == 3


def test_it_happens_with_no_worker_of_that_stage(start_line, data_dir) -> None:
    """Only the API runs: what a dead worker held is back at latest lease + 10 s after its last heartbeat."""
    running = start_line(LEASE_SECONDS="2")
    url = str(running.state["redis_url"])
    consumer = Consumer(url, line.stage("classify"), "gone", 60)
    for name, pid in running.state["pids"].items():
        if name not in ("grab", "redis"):
            __import__("os").kill(pid, 19)  # SIGSTOP: no worker of any stage runs
    consumer.heartbeat(2)
    client = Producer(url, 1).client
    deadline = time.monotonic() + 60
    while client.info("clients")["blocked_clients"]:  # until the stopped workers' pops have timed out in the server
        assert time.monotonic() < deadline
        time.sleep(0.05)
    raw = Message.of({"image_id": "a", "original_path": "original/a.jpg"}).raw
    client.rpush("classify_queue", raw)
    assert consumer.take(1) == raw
    consumer.heartbeat(2)
    deadline = time.monotonic() + 2 + 10
    while client.llen("classify_queue") == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert Message.decode(client.lindex("classify_queue", 0)).attempt == 2


def test_no_worker_is_called_dead_just_after_an_outage(producer, consumer, settings) -> None:
    """A reaper that has just started, or reached Redis again, leaves living workers time for a heartbeat."""
    queue_up(producer, "a")
    consumer.heartbeat(LEASE_SECONDS)
    consumer.take(0.1)
    let_expire(consumer)
    fresh = Reaper(settings.model_copy(update={"lease_seconds": LEASE_SECONDS}))
    fresh.sweep()
    assert waiting(producer) == []
    fresh._quiet_until -= GRACE_SECONDS
    fresh.sweep()
    assert waiting(producer) == [("a", 2)]


def test_two_reapers_return_a_message_once(producer, consumer, reaper) -> None:
    """Each step is atomic: a second sweep of the same list finds nothing."""
    queue_up(producer, "a")
    consumer.heartbeat(LEASE_SECONDS)
    raw = consumer.take(0.1)
    let_expire(consumer)
    reaper._return(consumer.identity, raw)
    reaper._return(consumer.identity, raw)
    assert waiting(producer) == [("a", 2)]


def test_a_worker_is_forgotten_only_when_long_silent_and_empty(producer, consumer, reaper) -> None:
    """A pop that is still pending in the server may yet fill the list of one that looks dead."""
    consumer.heartbeat(LEASE_SECONDS)
    let_expire(consumer)
    reaper.sweep()
    assert producer.client.zcard(keys.WORKERS) == 1
    producer.client.zincrby(keys.WORKERS, -100, consumer.identity)
    reaper.sweep()
    assert producer.client.zcard(keys.WORKERS) == 0


def test_a_lease_that_ran_out_does_not_cover_what_was_asked_for_before(consumer) -> None:
    """After a gap, by the server's clock or by ours, only what is asked for from then on is surely ours."""
    lease = Lease(consumer, LEASE_SECONDS, 60)
    lease.renew()
    before = time.monotonic()
    assert lease.covers(before)
    let_expire(consumer)
    lease._renewed -= LEASE_SECONDS + 1
    assert not lease.covers(before)
    lease.renew()
    assert lease.is_fresh()
    assert not lease.covers(before)
    assert lease.covers(time.monotonic())


def test_health_reports_a_reaper_that_fails(producer, settings) -> None:
    """A fault that waiting cannot mend stops no upload: /health is degraded and says it, for as long as it lasts."""
    served = Intake(FolderStore(settings.stageline_data / "images"), settings)
    served.reaper = Reaper(settings)
    served.reaper.start()
    client = create_app(settings, served).test_client()

    def is_reported() -> bool:
        return any("the housekeeper fails" in problem for problem in client.get("/health").json["problems"])

    try:
        assert not is_reported()
        producer.client.set(keys.delayed_key(RESIZE.queue), "a string, and no sorted set")
        until(is_reported)
        producer.client.delete(keys.delayed_key(RESIZE.queue))
        until(lambda: not is_reported())
    finally:
        served.reaper.end()
        served.reaper.join()


def test_the_living_keep_what_they_hold_when_rediss_clock_is_set_forward(tmp_path: Path, settings) -> None:
    """As after a failover: living workers have a lease's time for a heartbeat; the dead are found after that."""

    class OtherTime(RedisServer):
        def environment(self) -> dict[str, str]:
            return super().environment() | clock_of(tmp_path / "offset")

    (tmp_path / "offset").write_text("+0")
    with served(OtherTime(tmp_path / "redis", program=program("valkey"))) as server:
        found = settings.model_copy(update={"redis_url": server.url, "lease_seconds": LEASE_SECONDS})
        producer, consumer, reaper = (
            Producer(server.url, 100),
            Consumer(server.url, RESIZE, "one", 60),
            Reaper(found),
        )
        reaper._quiet_until = 0.0
        queue_up(producer, "a")
        consumer.heartbeat(LEASE_SECONDS)
        consumer.take(0.1)
        reaper.sweep()
        before = producer.client.time()[0]
        (tmp_path / "offset").write_text("+1h")
        until(lambda: producer.client.time()[0] - before > LEASE_SECONDS)
        reaper.sweep()
        assert waiting(producer) == []
        left = reaper._quiet_until - time.monotonic()
        assert LEASE_SECONDS - 10 < left <= LEASE_SECONDS
        consumer.heartbeat(LEASE_SECONDS)
        reaper._quiet_until = 0.0
        reaper.sweep()
        assert waiting(producer) == []
        let_expire(consumer)
        reaper.sweep()
        assert waiting(producer) == [("a", 2)]


def test_a_worker_that_died_before_rediss_clock_was_set_back_is_dead(producer, consumer, reaper, settings) -> None:
    """A worker whose last heartbeat lies in the future is dead; it is forgotten in the end, as any other."""
    queue_up(producer, "a")
    consumer.heartbeat(LEASE_SECONDS)
    consumer.take(0.1)
    consumer.client.zincrby(keys.WORKERS, 3600, consumer.identity)
    assert overview.read(producer.client, LEASE_SECONDS).workers["resize"] == 0
    reaper.sweep()
    assert waiting(producer) == [("a", 2)]
    consumer.client.zincrby(keys.WORKERS, -FORGET_SECONDS, consumer.identity)
    reaper.sweep()
    assert producer.client.zcard(keys.WORKERS) == 0


def test_a_workers_heartbeat_brings_it_back_after_the_clock_was_set_back(producer, consumer, reaper) -> None:
    """Its next heartbeat is by the new clock: it lives, and keeps what it holds."""
    queue_up(producer, "a")
    consumer.heartbeat(LEASE_SECONDS)
    consumer.take(0.1)
    consumer.client.zincrby(keys.WORKERS, 3600, consumer.identity)
    consumer.heartbeat(LEASE_SECONDS)
    reaper.sweep()
    assert waiting(producer) == []
    assert overview.read(producer.client, LEASE_SECONDS).workers["resize"] == 1

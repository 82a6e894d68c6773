"""Side effects of each transition: events, outbox events for the catalogue, counts, the pace; and what is dropped."""

import json
import time

import pytest

from stageline.broker import events, keys, statistics, status, time_left, transitions
from stageline.broker.consumer import Consumer
from stageline.broker.producer import Producer
from stageline.broker.redis_client import Result
from stageline.pipeline import line, results
from stageline.pipeline.message import Message

RESIZE, TAG = line.stage("resize"), line.stage("tag")
ENTRY = {"state": "done", "run": 1, "attempt": 1, "worker": "w", "ms": 3.0, "key": None}


@pytest.fixture
def producer(any_redis) -> Producer:
    return Producer(any_redis, 100, 60)


@pytest.fixture
def consumer(any_redis) -> Consumer:
    return Consumer(any_redis, RESIZE, "one", 60)


@pytest.fixture
def last(any_redis) -> Consumer:
    return Consumer(any_redis, TAG, "one", 60)


def message(image_id: str = "a", **fields) -> Message:
    return Message.of({"image_id": image_id, "original_path": f"original/{image_id}.jpg", "attempt": 1, **fields})


def outbox_events(producer: Producer) -> list[dict]:
    return [json.loads(raw) for raw in producer.client.lrange(keys.OUTCOMES, 0, -1)]


def event_types(producer: Producer) -> list[str]:
    return [event.type for event in events.read(producer.client, events.START, 1000)]


def taken(consumer: Consumer) -> Message:
    raw = consumer.take(0.1)
    assert raw is not None
    return Message.decode(raw)


def finish(last: Consumer, sent: Message) -> int:
    last.client.rpush(TAG.queue, sent.raw)
    got = taken(last)
    document = results.document(got, "completed", detections=[{"label": "dog"}, {"label": "dog"}])
    return last.scripts.run(last.finish(got, transitions.ended(got, "tag", ENTRY, document)))


def test_each_transition_of_a_picture_has_its_events(producer: Producer, consumer: Consumer, last: Consumer) -> None:
    """Accepted, begun, done, the last done, completed: an event each; an outbox event for each status."""
    sent = message(filename="größe.jpg", uploaded_at="2026-11-21T10:00:00.000Z")
    assert producer.accept(sent) == "a"
    assert producer.accept(sent) == "a", "a repeated accept writes nothing twice"
    got = taken(consumer)
    consumer.begin([(got, transitions.begun(got, "resize", {**ENTRY, "state": "working"}))])
    following = got.successor("resize", ENTRY, {})
    consumer.scripts.run(consumer.hand_off(got, following, transitions.done(got, "resize", ENTRY)))
    finish(last, following)
    assert event_types(producer) == ["accepted", "stage", "stage", "stage", "completed"]
    assert [each["status"] for each in outbox_events(producer)] == ["submitted", "processing", "completed"]
    assert outbox_events(producer)[0]["document"]["filename"] == "größe.jpg"
    assert outbox_events(producer)[2]["document"]["detections"] == [{"label": "dog"}, {"label": "dog"}]
    ended = events.read(producer.client, events.START, 1000)[-1].content
    assert (ended["image_id"], ended["counts"], ended["faces"]) == ("a", {"dog": 2}, 0)
    assert ended["categories"] == [{"category": "dog", "confidence": 0.0, "objects": 2}]
    found = statistics.read(producer.client, 2)
    assert (found["line"]["accepted"], found["line"]["completed"], found["stages"]["resize"]["done"]) == (1, 1, 1)


def test_a_long_list_of_outbox_events_goes_on_in_short(producer: Producer) -> None:
    """While the catalogue is away its list grows by ids alone, which the bucket explains."""
    producer.client.rpush(keys.OUTCOMES, *["x"] * 10_000)
    producer.accept(message("late", filename="x" * 200))
    raw = producer.client.lindex(keys.OUTCOMES, -1)
    assert len(raw) < 150
    assert {"image_id": "late", "run": 1, "status": "submitted"}.items() <= json.loads(raw).items()


def test_a_deleted_picture_is_dropped_at_every_step(producer: Producer, consumer: Consumer, last: Consumer) -> None:
    """Begun, passed on, delayed, dead-lettered or finished: no message of it moves on, no event is written."""
    steps = (
        lambda c, m, n: c.begin([(m, n)])[0],
        lambda c, m, n: c.scripts.run(c.hand_off(m, m.successor("resize", ENTRY, {}), n)),
        lambda c, m, n: c.delay(m.raw, m.retried("resize", ENTRY).raw, 0.0, n),
        lambda c, m, n: c.dead_letter(m.raw, b"{}", m, n),
        lambda c, m, n: c.scripts.run(c.finish(m, n)),
    )
    for number, step in enumerate(steps):
        name = f"gone{number}"
        producer.accept(message(name))
        got = taken(consumer)
        producer.delete(name)
        before = (event_types(producer), outbox_events(producer))
        assert consumer.superseded([got]) == [True]
        assert step(consumer, got, transitions.done(got, "resize", ENTRY)) == Result.SUPERSEDED
        assert consumer.held() == [got.raw], "until it is let go: a worker that dies before leaves it to the next"
        consumer.let_go(got.raw)
        assert (event_types(producer), outbox_events(producer)) == before
    assert event_types(producer)[-1] == outbox_events(producer)[-1]["status"] == "deleted"
    assert (
        producer.unfinished() == producer.client.llen("grayscale_queue") == producer.client.llen(keys.DEAD_LETTERS) == 0
    )
    assert status.read(producer.client, "gone0")["status"] == "deleted"


def test_a_picture_sent_again_drops_its_older_run(producer: Producer, consumer: Consumer, last: Consumer) -> None:
    """A run is sent only when the picture does not move, only once; what is left of the one before is dropped."""
    producer.accept(message())
    old = taken(consumer)
    again = message(run=2, runs=[{"run": 2, "from": "resize", "created_at": "2026-11-21T10:00:00.000Z"}])
    assert producer.send_again(again, RESIZE) == Result.MOVING
    finish(last, old)
    assert producer.send_again(again, RESIZE) == Result.SENT
    assert producer.send_again(again, RESIZE) == Result.MOVING
    assert consumer.superseded([old, again]) == [True, False]
    assert consumer.scripts.run(consumer.finish(old, transitions.done(old, "resize", ENTRY))) == Result.SUPERSEDED
    assert (taken(consumer).run, producer.unfinished()) == (2, 1)
    producer.delete("a")
    assert producer.send_again(message(run=3, runs=again.fields["runs"]), RESIZE) == Result.CHANGED
    assert outbox_events(producer)[-2]["from"] == "resize"


def test_the_same_content_is_taken_once_where_asked(producer: Producer, consumer: Consumer) -> None:
    """With dedupe the id that is there is given, one that failed not counted."""
    first, second = message("a", sha256="77", filename="x.jpg"), message("b", sha256="77", filename="x.jpg")
    assert producer.accept(first) == "a"
    assert producer.accept(second, dedupe=True) == "a"
    assert (producer.unfinished(), producer.newest_named("x.jpg"), producer.newest_named("y.jpg")) == (1, "a", None)
    assert producer.accept(second) == "b", "only where it is asked for"
    assert producer.newest_named("x.jpg") == "b"
    got = taken(consumer)
    entry = {**ENTRY, "state": "failed"}
    document = results.failure(got, "resize", "why", entry)
    consumer.dead_letter(got.raw, b"{}", got, transitions.failed(got, "resize", entry, document))
    assert producer.accept(message("c", sha256="77"), dedupe=True) == "c"
    producer.delete("c", "77")
    producer.delete("b", "77", "x.jpg")
    assert producer.newest_named("x.jpg") is None
    assert producer.accept(message("d", sha256="77"), dedupe=True) == "d"


def test_a_tombstone_outlasts_what_may_be_on_its_way(producer: Producer, consumer: Consumer, last: Consumer) -> None:
    """Thirty days for a picture that moves, a foreign producer's as well; deleted again, it is not made shorter."""
    month, ttl = 29 * 86_400, lambda name: producer.client.ttl(keys.status_key(name))
    producer.accept(message("a"))
    producer.client.rpush(RESIZE.queue, message("foreign").raw)
    got = [taken(consumer), taken(consumer)]
    consumer.begin([(each, transitions.begun(each, "resize", ENTRY)) for each in got])
    for name in ("a", "foreign"):
        producer.delete(name)
        producer.delete(name)
        assert ttl(name) > month
    finish(last, message("done"))
    producer.delete("done")
    assert 0 < ttl("done") <= 60


def test_a_waiting_picture_is_counted_once(producer: Producer, last: Consumer) -> None:
    """Sent on, it is not accepted again, and its first half is no picture's latency."""
    producer.accept(message())
    runs = [{"run": 1, "from": "resize", "status": "waiting"}, {"run": 2, "from": "tag", "created_at": "x"}]
    last.client.rpush(TAG.queue, message().raw)
    got = taken(last)
    last.scripts.run(last.finish(got, transitions.ended(got, "detect", ENTRY, results.document(got, "waiting"))))
    assert producer.send_again(message(run=2, runs=runs), TAG) == Result.SENT
    found = statistics.read(producer.client, 2)["line"]  # a minute may just have ended
    assert (found["accepted"], found["waiting"], found["p50_ms"]) == (1, 1, None)


def test_a_probe_is_no_picture(producer: Producer, consumer: Consumer) -> None:
    """It is queued and has a status; no event, no outbox event, no name, no count."""
    producer.accept(message("probe-1", probe=True, sha256="77", filename="x.jpg", until="classify"))
    got = taken(consumer)
    consumer.begin([(got, transitions.begun(got, "resize", ENTRY))])
    producer.delete("probe-1", probe=True)
    assert (event_types(producer), outbox_events(producer), producer.newest_named("x.jpg")) == ([], [], None)
    assert "accepted" not in statistics.read(producer.client, 2)["line"]


def test_the_time_left_is_learnt_from_what_pictures_took(producer: Producer, last: Consumer) -> None:
    """Nothing is claimed before anything was seen; then those behind others wait longer, and the end is nearer."""
    assert producer.accept(message("first")) == "first"
    assert time_left.remaining(producer.client, ["first"], {})["first"].seconds is None
    time.sleep(0.05)
    finish(last, message("first"))
    for name in "abcd":
        producer.accept(message(name))
    found = time_left.remaining(producer.client, [*"abcd", "first"], {"b": 4})
    assert [found[name].position for name in "abcd"] == [0, 1, 2, 3]
    assert found["a"].seconds < found["c"].seconds < found["d"].seconds
    assert found["b"].seconds < found["c"].seconds - found["a"].seconds * 0.5
    assert "first" not in found, "it is not on its way"


def test_percentiles_are_within_a_tenth() -> None:
    """Buckets grow by a fifth: what is read from them is near the true percentile, over six orders of magnitude."""
    from collections import Counter

    for scale in (1.0, 100.0, 1e6):
        buckets: Counter[int] = Counter()
        for number in range(1, 1001):
            (name,) = (name for name in statistics.counts("x", "done", scale * number) if "<" in name)
            buckets[int(name.split("<")[1])] += 1
        for percent in (50, 95, 99):
            assert statistics.percentile(buckets, percent) == pytest.approx(scale * 10 * percent, rel=0.11)
    assert statistics.percentile({}, 50) is None


def test_the_pace_is_never_below_zero(producer: Producer, last: Consumer) -> None:
    """Redis's clock was set back while a picture was on its way, and others ended: it took no time, and not less."""
    for name in ("a", "b", "c"):
        sent = message(name)
        producer.accept(sent)
        producer.client.zincrby(keys.UNFINISHED, 3600, name)
        producer.client.hset(keys.PACE, mapping={"last": producer.client.time()[0] + 3600, "busy": 1})
        assert finish(last, sent) == 1
        known = {field.decode(): float(value) for field, value in producer.client.hgetall(keys.PACE).items()}
        assert min(known["gap"], known["alone"]) >= 0
        assert known["ratio"] > 0
    producer.accept(message("d"))
    assert float(producer.client.hget(keys.status_key("d"), "estimate")) >= 0

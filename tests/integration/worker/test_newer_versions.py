"""Messages with stages and folders that a worker does not know: only what no worker knows is refused."""

import json

import pytest

from stageline.broker import keys
from stageline.broker.consumer import Consumer
from stageline.broker.producer import Producer
from stageline.core.errors import Unavailable
from stageline.pipeline.message import Message
from stageline.worker.heartbeat import Lease
from tests.support.worker_helpers import RESIZE, Recorder, handed_on, named

pytest_plugins = ("tests.support.worker_fixtures",)
ELSEWHERE = "sharpened/a.jpg"
NEWER = [{"path": ELSEWHERE}, {"stages": {"sharpen": {"path": ELSEWHERE, "fields": []}}}, {"until": "sharpen"}]


def ids_of(raws: list[bytes]) -> list[str]:
    return [json.loads(raw)["image_id"] for raw in raws]


@pytest.mark.parametrize("fields", NEWER, ids=lambda fields: next(iter(fields)))
def test_what_a_newer_version_announced_waits_untouched(work_through, settings, fields) -> None:
    """The bytes stay as they are, no attempt is counted, and pictures of this version go past."""
    Producer(settings.redis_url, 1).client.sadd(keys.ANNOUNCED, "sharpen", "sharpened/")
    work = Recorder()
    newer = {"image_id": "newer", **fields}
    producer = work_through(work, [newer, *named("a")], lambda producer: handed_on(producer) == ["a"])
    (waiting,) = producer.client.zrange(keys.delayed_key(RESIZE.queue), 0, -1)
    sent = {"original_path": "original/newer.jpg", "origin_w": 10, "origin_h": 10, **newer}
    assert waiting == Message.of(sent).raw
    assert work.batches == [["a"]]
    assert producer.client.llen(keys.DEAD_LETTERS) == 0


@pytest.mark.parametrize("fields", NEWER[:2], ids=lambda fields: next(iter(fields)))
def test_a_folder_that_no_worker_announced_is_refused(work_through, fields) -> None:
    """No newer version runs that could take it: the reason names the field, the folders there are, and this one."""
    messages = [{"image_id": "stray", **fields}, *named("a")]
    producer = work_through(Recorder(), messages, lambda producer: bool(producer.client.llen(keys.DEAD_LETTERS)))
    (letter,) = map(json.loads, producer.client.lrange(keys.DEAD_LETTERS, 0, -1))
    for words in ("path", "original/<id>.jpg", "grayscale", "this version knows no sharpened"):
        assert words in letter["reason"]


@pytest.mark.parametrize(
    "path", ["sharpened/../original/a.jpg", "/sharpened/a.jpg", "sharpened/a/b.jpg", "Sharpened/a.jpg"]
)
def test_what_is_no_key_in_any_version_is_refused(work_through, settings, path) -> None:
    """An announced folder opens no way to anything but a key of the usual form."""
    Producer(settings.redis_url, 1).client.sadd(keys.ANNOUNCED, "sharpened/", "/", "Sharpened/")
    messages = [{"image_id": "bad", "path": path}]
    producer = work_through(Recorder(), messages, lambda producer: bool(producer.client.llen(keys.DEAD_LETTERS)))
    (letter,) = map(json.loads, producer.client.lrange(keys.DEAD_LETTERS, 0, -1))
    assert letter["reason"].startswith("path must be a key like original/<id>.jpg")


def test_what_is_wrong_otherwise_is_refused_at_once(work_through, settings) -> None:
    """Naming a folder of a newer version hides no other fault."""
    Producer(settings.redis_url, 1).client.sadd(keys.ANNOUNCED, "sharpened/")
    messages = [{"image_id": "bad", "path": ELSEWHERE, "detections": "none"}]
    producer = work_through(Recorder(), messages, lambda producer: bool(producer.client.llen(keys.DEAD_LETTERS)))
    (letter,) = map(json.loads, producer.client.lrange(keys.DEAD_LETTERS, 0, -1))
    assert letter["reason"] == "detections must be a list"


def test_an_unknown_until_that_no_worker_announced_is_ignored(work_through) -> None:
    """As before: a producer may say anything there, and the picture goes its whole way."""
    producer = work_through(
        Recorder(), [{"image_id": "a", "until": "sharpen"}], lambda producer: handed_on(producer) == ["a"]
    )
    assert producer.client.zcard(keys.delayed_key(RESIZE.queue)) == 0


def test_a_worker_announces_what_it_knows_again_when_redis_lost_it(work_through) -> None:
    """Its stages and folders are announced before it takes a message, and again with its next heartbeat."""
    forgot = False

    def announced_anew(producer: Producer) -> bool:
        nonlocal forgot
        if not forgot and handed_on(producer) == ["a"]:
            assert {b"resize", b"tag", b"resized/", b"results/"} <= producer.client.smembers(keys.ANNOUNCED)
            forgot = bool(producer.client.delete(keys.ANNOUNCED, keys.WORKERS))
        return forgot and bool(producer.client.sismember(keys.ANNOUNCED, "resized/"))

    work_through(Recorder(), named("a"), announced_anew, lease_seconds=1.0)


class RefusedOnce(Consumer):
    """A consumer whose first announcement does not come through."""

    tried = 0

    def announce(self) -> None:
        self.tried += 1
        if self.tried == 1:
            raise Unavailable("Redis is away")
        super().announce()


def test_an_announcement_that_did_not_come_through_is_repeated(settings) -> None:
    """The next heartbeat makes up for it, and later ones announce nothing again."""
    consumer = RefusedOnce(settings.redis_url, RESIZE, "worker", 60)
    lease = Lease(consumer, 30.0, 60.0)
    with pytest.raises(Unavailable):
        lease.renew()
    assert not consumer.is_announced("resize")
    lease.renew()
    lease.renew()
    assert consumer.is_announced("resize")
    assert consumer.tried == 2

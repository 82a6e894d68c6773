"""Server-sent events of a whole line: each event is sent once, in order, and a stream can be resumed."""

import itertools
import json
import signal
import threading
from collections.abc import Iterator
from unittest.mock import Mock

import pytest
import urllib3

from grab_service.streaming import event_streams
from grab_service.streaming import hub as hubs
from grab_service.streaming.hub import Hub
from stageline.broker.events import Event, is_after
from stageline.broker.keys import EVENTS
from stageline.broker.producer import Producer
from stageline.core.errors import Unavailable
from stageline.pipeline import line
from tests.support.api_line import TIMEOUT, Api, ApiLine, until
from tests.support.picture_makers import all_kinds
from tests.support.served_api import ServedApi

pytest_plugins = ["tests.support.api_fixtures"]
JPEG = all_kinds()["jpeg"]


class Stream:
    """A connection that follows events."""

    def __init__(self, url: str, last: str | None = None) -> None:
        headers = {"Last-Event-ID": last} if last else {}
        pool = urllib3.PoolManager(retries=False, timeout=TIMEOUT)
        self.answer = pool.request("GET", url, headers=headers, preload_content=False)
        self._buffer = b""

    def blocks(self) -> Iterator[dict[str, str]]:
        """Yield each block that is an event, until the API ends the stream."""
        for piece in self.answer.stream(1):
            self._buffer += piece
            if self._buffer.endswith(b"\n\n"):
                lines, self._buffer = self._buffer.decode().splitlines(), b""
                fields = dict(line.split(": ", 1) for line in lines if line and not line.startswith(":"))
                if "event" in fields:
                    yield fields

    def close(self) -> None:
        """Hang up."""
        self.answer.close()


def follow(api: Api, image_id: str) -> list[dict[str, str]]:
    """Return the events of a picture, up to its end."""
    url = f"{api.url}/events/{image_id}"
    stream = Stream(url)
    assert stream.answer.headers["Content-Type"].startswith("text/event-stream")
    received = list(stream.blocks())
    if len(received) == 1:  # it had ended already: maybe after the event of that id, and then the rest comes now
        received += Stream(url, received[0]["id"]).blocks()
    return received


def test_one_picture_is_followed_to_its_end(api: Api) -> None:
    """First how it stands, then each step once, in order; after its end the stream ends, and 204 says so."""
    image_id = api.upload(JPEG)["image_id"]
    received = follow(api, image_id)
    assert received[0]["event"] == "status"
    assert json.loads(received[0]["data"])["image_id"] == image_id
    last = received[-1]
    assert json.loads(last["data"])["status"] == "completed"
    ids = [each["id"] for each in received]
    assert all(is_after(after, before) for before, after in itertools.pairwise(ids))
    assert api.call("GET", f"/events/{image_id}", headers={"Last-Event-ID": last["id"]}).status == 204
    missed = list(Stream(f"{api.url}/events/{image_id}", "0-0").blocks())
    assert [each["event"] for each in missed] == ["accepted", *["stage"] * 2 * len(line.LINE), "completed"]
    received = [json.loads(each["data"]) for each in missed[1:-1]]
    done = [each["stage"] for each in received if each["state"] == "done"]
    assert done == [stage.name for stage in line.LINE]
    api.refused("GET", "/events/nobody", 404)
    api.refused("GET", "/events/a.jpg", 404, "by id")


def test_all_pictures_are_followed_and_resumed(api: Api) -> None:
    """The next connection sends the events missed in between: each event once."""
    stream = Stream(f"{api.url}/events")
    first = api.upload(JPEG)["image_id"]
    seen = []
    for block in stream.blocks():
        seen.append(block)
        if json.loads(block["data"])["image_id"] == first:
            break
    stream.close()
    second = api.upload(JPEG)["image_id"]
    api.ended(second)
    again = Stream(f"{api.url}/events", seen[-1]["id"])
    ended = {json.loads(block["data"])["image_id"] for block in seen if block["event"] == "completed"}
    for block in again.blocks():
        seen.append(block)
        if block["event"] == "completed":
            ended.add(json.loads(block["data"])["image_id"])
        if ended == {first, second}:  # either may be the first to end
            break
    again.close()
    ids = [block["id"] for block in seen]
    assert len(set(ids)) == len(ids)
    kinds = [block["event"] for block in seen if json.loads(block["data"])["image_id"] == first]
    assert (kinds[0], kinds.count("completed")) == ("accepted", 1)
    deleted = Stream(f"{api.url}/events", ids[-1])
    api.call("DELETE", f"/image/{first}")
    assert next(deleted.blocks())["event"] == "deleted"
    deleted.close()


@pytest.mark.parametrize("last", ["x", "1-", "1-2-3", "9" * 30, "-1", "$", "1\t"])
def test_an_id_that_is_none_is_refused(last: str, api: Api) -> None:
    """Last-Event-ID is an event's id, or a 422."""
    refused = api.refused("GET", "/events", 422, headers={"Last-Event-ID": last})
    assert refused["errors"][0]["field"] == "Last-Event-ID"


def test_a_picture_s_stream_has_its_earlier_events(api: Api) -> None:
    """A waiting picture's stream ends there; once sent on, another has the rest, and a re-run's events name its run."""
    image_id = api.upload(JPEG, query="?process=false")["image_id"]
    received = follow(api, image_id)
    assert json.loads(received[-1]["data"])["status"] == "waiting"
    api.call("POST", f"/process/{image_id}")
    rest = list(Stream(f"{api.url}/events/{image_id}", received[-1]["id"]).blocks())
    assert {json.loads(each["data"])["run"] for each in rest} == {2}
    assert [each["event"] for each in rest] == ["rerun", "stage", "stage", "stage", "stage", "completed"]


def test_there_are_only_so_many_places_and_others_are_served(whole: ApiLine) -> None:
    """The 65th stream gets Retry-After; uploads and all else go on; a stream that ends makes room for another."""
    api, streams = whole.api, []
    try:
        while len(streams) < hubs.PLACES:  # those of the tests before may not be noticed yet to have hung up
            streams.append(until(lambda: (stream := Stream(f"{api.url}/events")).answer.status == 200 and stream))
        for path in ("/events", "/upload?follow=true"):
            method, body = ("GET", None) if path == "/events" else ("POST", JPEG)
            refused = api.call(method, path, body=body)
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert api.call("POST", "/upload?wait=1", body=JPEG).status == 202
        assert api.call("GET", "/queue-status").status == 200
    finally:
        for stream in streams:
            stream.close()
    assert until(lambda: follows(api))


def follows(api: Api) -> bool:
    """Whether there is a place to follow events."""
    stream = Stream(f"{api.url}/events")
    stream.close()
    return stream.answer.status == 200


@pytest.mark.parametrize("late", [(), (Event("1-0", "stage", "a", "{}"), Event("2-0", "completed", "a", "{}"))])
def test_a_stream_has_the_events_after_the_status_read(late: tuple[Event, ...]) -> None:
    """A status read finds the end before the last events: they are sent; if they are lost, the next read ends it."""
    watcher, known = Mock(image_id="a", over=False), Mock()
    watcher.next.side_effect = [None, *late] if late else [None, None]
    known.status.return_value = {"status": "completed", "results": {}}
    received = [json.loads(line)["event"] for line in event_streams.follow(watcher, known, {}, str, TIMEOUT)]
    assert received == ["accepted", *(["stage"] if late else []), "completed"]


def test_sigterm_ends_streams(whole: ApiLine, tmp_path) -> None:
    """An API process that gets SIGTERM ends its endless streams."""
    api = ServedApi(tmp_path, REDIS_URL=whole.redis.url)
    try:
        streams = [Stream(f"{api.url}/events") for _ in range(3)]
        ended = [threading.Thread(target=lambda stream=stream: list(stream.blocks())) for stream in streams]
        for thread in ended:
            thread.start()
        api.process.send_signal(signal.SIGTERM)
        for thread in ended:
            thread.join(TIMEOUT)
        assert not any(thread.is_alive() for thread in ended)
        assert api.process.wait(TIMEOUT) == 0
    finally:
        api.stop()


def test_a_reader_that_does_not_keep_up_is_cut_off(whole: ApiLine, monkeypatch) -> None:
    """The events that wait for one reader are bounded; the other readers get all events."""
    monkeypatch.setattr(hubs, "MAX_BEHIND", 10)
    hub = Hub(whole.settings.redis_url)
    slow, quick = hub.watch("slow"), hub.watch("quick")
    client = Producer(whole.settings.redis_url, 1).client
    for number in range(20):
        client.xadd(EVENTS, {"type": "stage", "image_id": "slow", "data": f'{{"n": {number}}}'})
    client.xadd(EVENTS, {"type": "stage", "image_id": "quick", "data": "{}"})
    assert quick.next(TIMEOUT).image_id == "quick"
    assert (slow.over, quick.over) == (True, False)
    for watcher in (slow, quick):
        watcher.leave()


def test_streams_end_while_redis_is_away(whole: ApiLine) -> None:
    """A new stream gets 503; a stream of one picture stays open, and gets its events when Redis is back."""
    hub = Hub(whole.settings.redis_url)
    watcher = hub.watch()
    stream = Stream(f"{whole.api.url}/events")
    ended = threading.Thread(target=lambda: list(stream.blocks()))
    ended.start()
    whole.redis.kill()
    ended.join(TIMEOUT)
    assert not ended.is_alive()
    whole.api.refused("GET", "/events", 503, "REDIS_URL")
    until(lambda: watcher.missed)
    with pytest.raises(Unavailable):
        hub.watch()
    assert not watcher.over
    whole.redis.start()
    client = Producer(whole.settings.redis_url, 1).client
    until(lambda: client.xadd(EVENTS, {"type": "stage", "image_id": "after", "data": "{}"}))
    received: list[Event | None] = []
    until(lambda: received.append(watcher.next(0.5)) or any(event and event.image_id == "after" for event in received))
    watcher.leave()

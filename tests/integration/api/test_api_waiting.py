"""A request that waits for results, or follows a picture, while no worker works: its answer ends all the same."""

import json
import threading
from collections.abc import Iterator

import pytest

from stageline.broker.producer import Producer
from stageline.core.settings import Settings
from tests.support.served_api import JPEG, ServedApi, assert_problem, until


@pytest.fixture
def api(settings: Settings, tmp_path) -> Iterator[ServedApi]:
    """An API process on a folder, and no line behind it."""
    served = ServedApi(tmp_path, REDIS_URL=settings.redis_url)
    yield served
    served.stop()


def test_an_upload_that_waits_too_long_gets_a_202(api: ServedApi) -> None:
    """When the time is over the answer is what it would have been at once."""
    answer = api.curl("/upload?wait=1", "--data-binary", "@-", body=JPEG)
    content = json.loads(answer.body)
    assert (answer.status, content["status"]) == (202, "submitted")
    assert f"Location: /status/{content['image_id']}" in answer.headers


def test_an_upload_followed_for_too_long_ends_with_timeout(api: ServedApi) -> None:
    """The last line says timeout; the picture is there and goes on."""
    answer = api.curl("/upload?follow=true&wait=1", "--data-binary", "@-", body=JPEG)
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert [line["event"] for line in lines] == ["accepted", "timeout"]
    assert lines[1] == {"event": "timeout", "image_id": lines[0]["image_id"], "results": None, "tagged_image": None}
    assert api.curl(f"/status/{lines[0]['image_id']}").status == 200


def test_a_picture_that_is_deleted_ends_what_follows_it(api: ServedApi, settings: Settings) -> None:
    """Whichever client deletes it: the stream says so, and ends."""
    said: list[bytes] = []
    follower = threading.Thread(
        target=lambda: said.append(api.curl("/upload?follow=true", "--data-binary", "@-", body=JPEG).body)
    )
    follower.start()
    client = Producer(settings.redis_url, 1).client
    until(lambda: bool(client.keys("stageline:status:*")))
    image_id = client.keys("stageline:status:*")[0].decode().rpartition(":")[2]
    assert api.curl(f"/image/{image_id}", "-X", "DELETE").status == 204
    follower.join()
    assert [json.loads(line)["event"] for line in said[0].splitlines()] == ["accepted", "deleted"]
    assert Producer(settings.redis_url, 1).unfinished() == 0


def test_a_repeat_under_a_key_does_not_wait_for_the_first(api: ServedApi, settings: Settings) -> None:
    """The second is answered as soon as the picture is accepted; of one that was deleted since, it is a 410."""
    answers = []
    options = ("-H", "Idempotency-Key: k", "--data-binary", "@-")
    first = threading.Thread(target=lambda: answers.append(api.curl("/upload?wait=60", *options, body=JPEG)))
    first.start()
    client = Producer(settings.redis_url, 1).client
    until(lambda: bool(client.keys("stageline:status:*")))
    image_id = client.keys("stageline:status:*")[0].decode().rpartition(":")[2]
    until(lambda: api.curl("/upload?wait=60", *options, body=JPEG).status == 202)  # a moment before, it is a 409
    again = api.curl("/upload?wait=60", *options, body=JPEG)
    assert json.loads(again.body)["image_id"] == image_id
    assert first.is_alive()
    assert api.curl(f"/image/{image_id}", "-X", "DELETE").status == 204
    first.join()
    assert_problem(answers[0], 404, image_id.encode())
    assert_problem(api.curl("/upload?wait=60", *options, body=JPEG), 410, image_id.encode())

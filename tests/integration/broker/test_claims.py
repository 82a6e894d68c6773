"""A claim under an Idempotency-Key is held while there is work behind it, else it is soon free; nothing is doubled."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from math import ceil
from pathlib import Path

import pytest

from grab_service.line.claims import HEARTBEAT_SECONDS, LEASE_SECONDS
from stageline.broker.producer import Producer
from stageline.broker.redis_client import connect, scripts
from stageline.core.settings import Settings
from tests.support.api_client import queued
from tests.support.cutting_proxy import CuttingProxy
from tests.support.picture_makers import encoded, scene
from tests.support.processes import descendants
from tests.support.served_api import Answer, ServedApi, assert_problem, until
from tests.support.servers import RedisServer

StartApi = Callable[..., ServedApi]
OPTIONS = ("--data-binary", "@-")


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[CuttingProxy]:
    found = CuttingProxy(redis_server.port)
    yield found
    found.close()


@pytest.fixture
def start_api(settings: Settings, tmp_path: Path) -> Iterator[StartApi]:
    """Start API processes on one folder and one Redis, each with its own address of Redis if given; no stage runs."""
    with ExitStack() as stack:

        def start(redis_url: str = settings.redis_url) -> ServedApi:
            served = ServedApi(tmp_path, REDIS_URL=redis_url)
            stack.callback(served.stop)
            send(served, picture(0), key="warm")  # from now on Redis knows every script
            Producer(settings.redis_url, 1).client.flushdb()
            return served

        yield start


def picture(number: int) -> bytes:
    return encoded(scene(), "JPEG") + b"%d" % number


def send(api: ServedApi, data: bytes, path: str = "/upload", key: str = "k", *more: str) -> Answer:
    return api.curl(path, "-H", f"Idempotency-Key: {key}", *OPTIONS, *more, body=data)


def sha(name: str) -> str:
    return scripts()[name].sha


def record(settings: Settings) -> dict[str, str]:
    """What Redis has under the one key that was used."""
    client = Producer(settings.redis_url, 1).client
    names = client.keys("stageline:once:*")
    return {name.decode(): value.decode() for name, value in client.hgetall(names[0]).items()} if names else {}


def sent_with_retries(api: ServedApi, data: bytes, path: str = "/upload") -> tuple[Answer, list[int]]:
    """Send again as each 409 says; the answer that came then, and the seconds that were said."""
    said: list[int] = []
    while (answer := send(api, data, path)).status == 409:
        assert_problem(answer, 409, b"worked on", retry=True)
        (line,) = [line for line in answer.headers.splitlines() if line.startswith("Retry-After:")]
        said.append(int(line.partition(":")[2]))
        assert len(said) < 60
        threading.Event().wait(said[-1])
    return answer, said


def test_a_claim_whose_answer_was_lost_is_taken_over_at_once(start_api, proxy, settings) -> None:
    """Redis made the claim, but the answer was lost: a 503, and the next try at the same API process is a 202."""
    api = start_api(proxy.url)
    proxy.cut(sha("claim"))
    assert_problem(send(api, picture(1)), 503, b"REDIS_URL")
    assert proxy.cuts > 0
    assert record(settings)["owner"]
    proxy.mend()
    assert send(api, picture(1)).status == 202
    assert len(queued(settings)) == 1


def test_a_claim_whose_answer_was_lost_is_freed_by_its_api(start_api, proxy, settings) -> None:
    """The next request is accepted, also with another body or elsewhere: nothing was done under that key."""
    api = start_api(proxy.url)
    proxy.cut(sha("claim"))
    assert send(api, picture(1)).status == 503
    assert record(settings)
    proxy.mend()
    until(lambda: not record(settings))
    assert send(start_api(), picture(2)).status == 202


def test_another_api_process_takes_over_what_one_that_died_had_claimed(start_api, proxy, settings) -> None:
    """Until then it says when to come again, which is soon."""
    api, other = start_api(proxy.url), start_api()
    proxy.cut(sha("claim"))
    assert send(api, picture(1)).status == 503
    proxy.is_down = True
    claimed = record(settings)
    answer, said = sent_with_retries(other, picture(1))
    assert all(1 <= seconds <= LEASE_SECONDS for seconds in said)
    assert (answer.status, json.loads(answer.body)["image_id"]) == (202, claimed["id"])
    assert len(queued(settings)) == 1


@pytest.mark.parametrize("before_it_runs", [False, True])
@pytest.mark.parametrize("script", ["accept", "settle"])
def test_whatever_else_was_lost_the_picture_is_there_once(
    start_api, proxy, settings, script: str, *, before_it_runs: bool
) -> None:
    """The picture was accepted, or its answer remembered, or neither: a repeat gets the same id."""
    api, other = start_api(proxy.url), start_api()
    proxy.cut(sha(script), before_it_runs=before_it_runs)
    first = send(api, picture(1))
    assert first.status == (503 if script == "accept" else 202)
    image_id = record(settings)["id"]
    proxy.mend()
    again = send(api, picture(1))
    answer, _ = sent_with_retries(other, picture(1))
    assert [json.loads(each.body)["image_id"] for each in (again, answer)] == [image_id, image_id]
    assert (again.status, answer.status, "Idempotent-Replayed" in answer.headers) == (202, 202, True)
    assert [message.image_id for message in queued(settings)] == [image_id]


def killed_at_work(api: ServedApi, other: ServedApi, settings: Settings, data: bytes, *request: str) -> str:
    """Kill an API process that has worked on a request for longer than a claim lasts; return the claimed id."""
    path, *options = request
    first = threading.Thread(target=lambda: send(api, data, path, "k", *options))
    first.start()
    until(lambda: "until" in record(settings))
    for _ in range(ceil(LEASE_SECONDS / HEARTBEAT_SECONDS)):
        seen = record(settings)["until"]
        until(lambda seen=seen: record(settings)["until"] != seen)
    assert_problem(send(other, data, path, "k", *options), 409, b"worked on", retry=True)
    for pid in [api.process.pid, *descendants(api.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    first.join()
    until(lambda: float(record(settings)["until"]) < connect(settings.redis_url).time()[0])
    return record(settings)["id"]


def test_a_repeat_while_the_first_still_waits_is_answered_at_once(start_api, settings) -> None:
    """Once a picture is accepted, every API process answers so, also after a SIGKILL; the picture is there once."""
    api, other, path = start_api(), start_api(), "/upload?wait=60"
    first = threading.Thread(target=lambda: send(api, picture(1), path))
    first.start()
    until(lambda: "answer" in record(settings))
    answers = [send(each, picture(1), path) for each in (api, other)]
    assert first.is_alive(), "it waits on"
    for pid in [api.process.pid, *descendants(api.process.pid)]:
        os.kill(pid, signal.SIGKILL)
    first.join()
    answers.append(send(other, picture(1), path))
    claimed = record(settings)["id"]
    assert [(each.status, json.loads(each.body)["image_id"]) for each in answers] == [(202, claimed)] * 3
    assert all("Idempotent-Replayed" in each.headers for each in answers)
    assert [message.image_id for message in queued(settings)] == [claimed]


def test_a_batchs_claim_is_held_while_it_comes_and_free_when_the_api_dies(start_api, settings) -> None:
    """However slowly it comes; after a SIGKILL another API process takes the batch under the same ids."""
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n%s\r\n'
    form, kind = part % picture(1) + part % picture(2) + b"--x--\r\n", "Content-Type: multipart/form-data; boundary=x"
    api, other, request = start_api(), start_api(), ("/batch-upload", "-H", kind)
    slowly = ("--limit-rate", str(len(form) // 60))
    claimed = killed_at_work(api, other, settings, form, *request, *slowly)
    answer = send(other, form, request[0], "k", *request[1:])
    assert (answer.status, json.loads(answer.body)["batch_id"]) == (202, claimed)
    assert sorted(message.image_id.split("-")[:2] for message in queued(settings)) == [[claimed, "0"], [claimed, "1"]]


def test_a_repeat_after_a_hang_up_gets_the_first_requests_answer(start_api, settings) -> None:
    """The first goes on to its end; once the picture is accepted, the second gets the same answer."""
    api = start_api()
    assert send(api, picture(1), "/upload?wait=60", "k", "-m", "1").status == 0
    answer, _ = sent_with_retries(api, picture(1), "/upload?wait=60")
    assert answer.status == 202
    assert json.loads(answer.body)["image_id"] == record(settings)["id"]
    assert len(queued(settings)) == 1

"""Redis 6.2, Redis 7 and Valkey in each of their moods: all wait, no attempt is counted, and work goes on after."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3

from catalogue_service.lease import WriterLease
from stageline.broker.consumer import Consumer
from stageline.broker.keys import OUTCOMES
from stageline.broker.producer import Producer
from stageline.broker.redis_client import Call, connect
from stageline.core.errors import Unavailable
from stageline.core.retrying import SERVER_AWAY
from stageline.core.settings import Settings
from stageline.local.ports import free_port
from stageline.maintenance.reaper import Reaper
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from stageline.worker import health
from tests.support.redis_moods import MOODS, SERVERS, MoodyRedis, program
from tests.support.running_line import inherited
from tests.support.served_api import JPEG, ServedApi, assert_problem, until
from tests.support.servers import RedisServer

PICTURES = 100  # so many that a worker is in the middle of them whenever a mood comes over its Redis
UNDER_WAY = 10
NEXT = "grayscale_queue"
SAID_AS = {  # where not by the mood's own name
    "MASTERDOWN": ("MASTERDOWN", "READONLY"),  # Redis 6.2 thinks of writes first
    "NOPERM": ("NOPERM", "ACL failure in script", "user executing the script can't run"),
}
SHORTLY = ("-m", "0.2")  # for what goes on for ever
JSON = ("-X", "POST", "-H", "Content-Type: application/json", "-d")


@pytest.fixture(scope="module", params=SERVERS)
def moody(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MoodyRedis]:
    """Each server."""
    found = MoodyRedis(request.param, tmp_path_factory.mktemp("moody"))
    yield found
    found.stop()


class Running:
    """An API process, a worker and the catalogue's writer, on a moody Redis."""

    def __init__(self, moody: MoodyRedis, folder: Path) -> None:
        self._moody, self._http = moody, urllib3.PoolManager(timeout=20, retries=False)
        self.logs = {name: folder / f"{name}.log" for name in ("api", "resize", "catalogue")}
        self._own = {"REDIS_URL": moody.url, "STAGELINE_DATA": str(folder), "MAX_QUEUE_SIZE": "100000"}
        self.api = ServedApi(folder, **self._own, LEASE_SECONDS="60")  # which decides which worker is dead
        self.ports = {"resize": free_port(), "catalogue": free_port()}
        self.processes = [self._start(name) for name in self.ports]
        self.store = FolderStore(folder / "images")
        self.store.put(StoredObject("original/a.jpg", JPEG, "image/jpeg"))
        self.sent: set[str] = set()

    def _start(self, name: str) -> subprocess.Popen:
        own = {**self._own, "LEASE_SECONDS": "1", "HEALTH_PORT": str(self.ports[name])}  # 3 heartbeats a second
        with self.logs[name].open("ab") as log:
            command = [sys.executable, "-P", "-m", f"{name}_service"]
            return subprocess.Popen(command, env=inherited() | own, stdout=log, stderr=log)

    def send(self, prefix: str) -> None:
        """Queue pictures, and see the worker begin."""
        producer = Producer(self._moody.server.url, 100_000)
        self.sent = {f"{prefix}{number}" for number in range(PICTURES)}
        size = {"origin_w": 80, "origin_h": 60}
        for image_id in self.sent:
            assert producer.accept(Message.of({"image_id": image_id, "original_path": "original/a.jpg", **size}))
        until(lambda: self._moody.admin.llen(NEXT) >= UNDER_WAY)

    def done(self) -> list[Message]:
        """What the worker handed on."""
        return [Message.decode(raw) for raw in self._moody.admin.lrange(NEXT, 0, -1)]

    def ready(self, name: str) -> bool:
        """Whether a service says that it works."""
        try:
            answer = self._http.request("GET", f"http://127.0.0.1:{self.ports[name]}/readyz")
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200

    def stop(self) -> None:
        """End all."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.api.stop()


@pytest.fixture(scope="module")
def running(moody: MoodyRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    found = Running(moody, tmp_path_factory.mktemp("running"))
    try:
        until(lambda: all(map(found.ready, found.ports)))
        yield found
    finally:
        found.stop()


def ask_everything(api: ServedApi, image_id: str, batch: str, most: int = 100) -> None:
    """No route answers 500; each 503 says when to come again."""
    form = ("-F", "images=@-;filename=a.jpg;type=image/jpeg")
    asked: list[tuple[str, tuple[str, ...]]] = [
        *((path, ()) for path in ("/stats", "/queue-status", "/images", "/models", "/metrics", "/health", "/readyz")),
        *((f"/{kind}/{image_id}", ()) for kind in ("status", "ledger", "image")),
        (f"/task/{image_id}.1", ()), (f"/batch/{batch}", ()), ("/status/a.jpg", ()), ("/image/a.jpg", ()),
        ("/events", SHORTLY), (f"/events/{image_id}", SHORTLY), ("/events", (*SHORTLY, "-H", "Last-Event-ID: 1-1")),
        (f"/image/{image_id}", ("-X", "DELETE")), (f"/process/{image_id}", ("-X", "POST")),
        ("/dead/replay", (*JSON, '{"all": true}')), ("/faces/search", ("--data-binary", "@-")),
        ("/batch-upload", form), ("/upload?follow=true", ("--data-binary", "@-")),
        ("/upload?wait=1", ("--data-binary", "@-", "-H", f"Idempotency-Key: {image_id}")),
    ]  # fmt: skip
    for path, options in asked[:most]:
        answer = api.curl(path, *options, body=JPEG)
        assert answer.status not in (0, 500), (path, answer)
        if answer.status == 503:
            assert "Retry-After: " in answer.headers, (path, answer)
            assert path in ("/health", "/readyz") or answer.content_type == "application/problem+json", (path, answer)


def says(text: str, mood: str) -> bool:
    """Whether an answer names the refusal in the server's words."""
    return any(words in text for words in SAID_AS.get(mood, (mood,)))


@pytest.mark.parametrize("mood", MOODS)
def test_a_mood_is_waited_out_by_all(mood: str, moody: MoodyRedis, running: Running) -> None:
    """The API answers 503 with Retry-After; the worker and the catalogue wait, and are not ready; no process dies, and
    once the mood has passed all is done, at the first attempt."""
    api = running.api
    before = {name: log.stat().st_size for name, log in running.logs.items()}
    accepted = json.loads(api.upload().body)["image_id"]
    batch = json.loads(api.curl("/batch-upload", "-F", "images=@-;filename=a.jpg", body=JPEG).body)["batch_id"]
    running.send(f"{mood.replace(' ', '-')}-")
    with moody.moods()[mood]():
        refused = api.upload()
        assert_problem(refused, 503, b"REDIS_URL", b"may not have been accepted")
        assert says(refused.body.decode(), mood)
        if mood == "LOADING":  # which passes by itself
            ask_everything(api, accepted, batch, most=3)
        else:
            ask_everything(api, accepted, batch)
            assert not any(map(running.ready, running.ports))
            assert api.curl("/readyz").status == api.curl("/health").status == 503
            for name in running.ports:
                until(lambda name=name: says(running.logs[name].read_text()[before[name] :], mood))
    until(lambda: running.sent <= {message.image_id for message in running.done()})
    done = [message for message in running.done() if message.image_id in running.sent]
    assert len(done) == PICTURES, "each once"
    assert {message.fields["stages"]["resize"]["attempt"] for message in done} == {1}
    until(lambda: moody.admin.llen(OUTCOMES) == 0)
    until(lambda: all(map(running.ready, running.ports)))
    assert api.upload().status == 202
    assert all(process.poll() is None for process in running.processes)
    for name, log in running.logs.items():
        assert not any(word in log.read_text() for word in ("crashed", "Traceback", "died", "exited")), name
    moody.admin.delete(NEXT)


@pytest.fixture
def parts(moody: MoodyRedis, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Callable]:
    """What each thread does to Redis, by what it writes or pops."""
    settings = Settings(redis_url=moody.url, stageline_data=tmp_path)
    producer, consumer = Producer(moody.url, 100_000), Consumer(moody.url, line.stage("tag"), "a-worker", 60)
    fresh = re.sub(r"\W", "-", request.node.callspec.params["mood"])  # one that was accepted is not written again
    message = Message.of({"image_id": fresh, "original_path": "original/a.jpg", "origin_w": 8, "origin_h": 6})
    return {
        "accept": lambda: producer.accept(message),
        "beat": lambda: consumer.heartbeat(60),
        "take": lambda: consumer.take(0.1),
        "catalogue": WriterLease(moody.url, 60).renew,
        "sweep": Reaper(settings).sweep,  # though there is nothing to return: living workers cannot send a heartbeat
        "ready": lambda: health.check_redis(producer.client),
    }


@pytest.mark.parametrize("mood", [mood for mood in MOODS if mood != "LOADING"])
def test_every_step_raises_unavailable(mood: str, moody: MoodyRedis, parts: dict[str, Callable]) -> None:
    """Whatever a thread does in a loop of its own raises what that loop waits for; after the mood it succeeds."""
    with moody.moods()[mood]():
        for part in parts.values():
            with pytest.raises(Unavailable):
                part()
    for part in parts.values():
        part()


def test_a_blocked_pop_is_refused_and_repeated(moody: MoodyRedis, running: Running) -> None:
    """A server that is demoted answers a BLMOVE that waits with UNBLOCKED: no message is lost or taken twice."""
    consumer, errors = Consumer(moody.url, line.stage("tag"), "waits", 60), list[Unavailable]()

    def wait() -> None:
        try:
            consumer.take(8.0)
        except Unavailable as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waits = lambda client: client["cmd"] == "blmove" and "b" in client["flags"]  # noqa: E731 - "b": at this moment
    until(lambda: sum(map(waits, moody.admin.client_list())) > 1)  # beside the worker
    with moody.replica():
        waiting.join()
    assert "UNBLOCKED" in str(errors[0])
    moody.admin.rpush("tag_queue", "a message")
    taken = SERVER_AWAY.call(
        lambda: consumer.take(8.0)
    )  # the server may have closed the connection as it changed its role
    assert taken == b"a message"
    assert consumer.held() == [b"a message"]
    consumer.let_go(b"a message")


@pytest.mark.parametrize("name", SERVERS)
def test_a_cluster_that_is_down_is_waited_for(name: str, tmp_path: Path) -> None:
    """A real one, whose slots no server serves, answers CLUSTERDOWN, for steps too."""
    server = RedisServer(tmp_path, ["--cluster-enabled", "yes"], program=program(name))
    server.start()
    try:
        producer = Producer(server.url, 10)
        for step in (
            producer.unfinished,
            lambda: producer.scripts.run(Call("let_go", in_flight="a list", message="a message")),
        ):
            with pytest.raises(Unavailable, match="CLUSTERDOWN"):
                step()
        with pytest.raises(Unavailable, match="CLUSTERDOWN"):
            health.check_redis(connect(server.url))
    finally:
        server.kill()

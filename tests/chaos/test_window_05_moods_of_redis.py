"""Redis 6.2, Redis 7 and Valkey refuse what they are asked, each in its ways, while pictures are in flight at a worker.

What must hold: the API answers 503 and says when to come again, no process ends, and once the mood has passed every
picture that was answered 202 is handed on once, at its first attempt. A mood lasts for longer than a lease.
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.chaos.deployment import LEASE, Deployment, until
from tests.chaos.pictures import picture
from tests.chaos.workers import in_flight, silence
from tests.support.cutting_proxy import CuttingProxy
from tests.support.redis_moods import SERVERS, MoodyRedis

MOODS = ("UNBLOCKED", "NOREPLICAS", "READONLY", "MISCONF", "OOM", "LOADING")
STARTED = ("grab", "resize", "catalogue")
NEXT = "grayscale_queue"
HELD = 4
SLOW_LOAD = ("60000", "20000")  # microseconds a key, in this suite and else: to load takes longer than a lease

pytestmark = pytest.mark.long


class Line:
    """The API, a worker of resize whose way to the store can be held, and a catalogue, on a server with moods."""

    def __init__(self, name: str, folder: Path, models: Path) -> None:
        self.moody = MoodyRedis(name, folder / "moody")
        self.deployment = Deployment(folder, models, REDIS_URL=self.moody.url)
        self.deployment.redis = self.moody.server
        self.store = CuttingProxy(self.deployment.minio.port)
        self.deployment.add("resize", MINIO_ENDPOINT=self.store.endpoint)
        self._sent = 0

    def end(self) -> None:
        """End everything."""
        self.deployment.end()
        self.moody.stop()
        self.store.close()

    def send(self) -> str:
        """Upload another picture, which must be taken."""
        self._sent += 1
        return self.deployment.api.take(picture(self._sent))

    def pids(self) -> dict[str, set[int]]:
        """The processes of each service."""
        return {name: self.deployment.services[name].pids for name in STARTED}

    def held(self) -> int:
        """How many messages are in flight."""
        return sum(map(len, in_flight(self.deployment.queue).values()))

    def mood(self, name: str) -> AbstractContextManager[None]:
        """The block in which the server refuses."""
        stack = ExitStack()
        if name == "LOADING":
            stack.enter_context(self.moody.config("key-load-delay", *SLOW_LOAD))
        stack.enter_context(self.moody.moods()[name]())
        return stack

    def handed_on(self, ids: set[str]) -> list[dict]:
        """Wait until each of these pictures was handed on; return what the next queue has of them."""

        def there() -> list[dict]:
            said = map(json.loads, self.deployment.queue.lrange(NEXT, 0, -1))
            return [message for message in said if message["image_id"] in ids]

        until(lambda: ids <= {message["image_id"] for message in there()})
        return there()


@pytest.fixture(scope="module", params=SERVERS)
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Line]:
    """A line on each server."""
    found = Line(request.param, tmp_path_factory.mktemp("line"), models_dir)
    try:
        found.deployment.start(*STARTED)
        yield found
    finally:
        found.end()


def check_api(line: Line, mood: str, image_id: str) -> None:
    """An upload is refused with 503 in that mood's words; the services are not ready; nothing is answered with 500."""
    api, services = line.deployment.api, line.deployment.services
    refused = api.upload(picture(0))
    assert refused.status == 503, refused
    assert mood in refused.data.decode()
    assert int(refused.headers["Retry-After"]) > 0
    until(lambda: not services["resize"].ready())
    for path in (f"/status/{image_id}", "/queue-status", "/stats", "/readyz", "/health"):
        answer = api.call("GET", path)
        assert answer.status in (200, 503), (path, answer)


def check_flow(line: Line, ids: set[str], pids: dict[str, set[int]]) -> None:
    """Each picture is handed on once, at its first attempt, nothing is put aside, and no process died."""
    said = line.handed_on(ids)
    assert sorted(message["image_id"] for message in said) == sorted(ids), "each once"
    assert {message["attempt"] for message in said} == {1}
    assert {message["stages"]["resize"]["attempt"] for message in said} == {1}
    assert not [message for message in said if message.get("history")]
    until(lambda: line.held() == 0)
    queue = line.deployment.queue
    assert (queue.llen("dead_letters"), queue.zcard("stageline:delayed:resize_queue")) == (0, 0)
    until(lambda: queue.llen("stageline:outcomes") == 0)
    until(lambda: all(line.deployment.services[name].ready() for name in STARTED))
    assert line.pids() == pids


@pytest.mark.parametrize("mood", MOODS)
def test_a_mood_is_waited_out_with_pictures_in_flight(mood: str, line: Line) -> None:
    """The worker holds pictures when the mood begins, and does their work, and would take more, within it."""
    pids = line.pids()
    line.store.hold()
    ids = {line.send() for _ in range(HELD)}
    until(lambda: line.held() == HELD)
    with line.mood(mood):
        line.store.mend()
        check_api(line, mood, min(ids))
        if mood != "LOADING":  # which ends by itself
            until(lambda: not line.deployment.services["catalogue"].ready())
            until(lambda: min(silence(line.deployment.queue).values()) > LEASE + 1)
    ids.add(line.send())
    check_flow(line, ids, pids)


def test_a_worker_that_waits_is_sent_away_and_comes_again(line: Line) -> None:
    """A server that becomes a replica answers UNBLOCKED to the BLMOVE of a worker that has nothing to do."""
    pids, queue = line.pids(), line.deployment.queue

    def sent_away() -> int:
        return int(queue.info("errorstats").get("errorstat_UNBLOCKED", {}).get("count", 0))

    def demote() -> bool:
        with line.moody.replica():
            return sent_away() > before

    before = sent_away()
    until(demote, pause=0.3)  # until it met the worker waiting
    check_flow(line, {line.send() for _ in range(HELD)}, pids)

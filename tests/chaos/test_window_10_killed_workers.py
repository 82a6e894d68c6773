"""Window 10: a kill charges the picture that was worked on, and none that only waited in flight at the worker.

The window: the worker's reads of originals break, so that all it took waits in its hands, and nothing is worked on;
or one picture's are let through, and its worker is killed while it takes CPU time for that, and nothing is stored yet.
"""

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from tests.chaos.deployment import BUCKET, Deployment
from tests.chaos.pictures import picture
from tests.chaos.windows import Broken, comes, opened, promised
from tests.chaos.workers import held_by
from tests.support.cutting_proxy import CuttingProxy

MAX_ATTEMPTS = 3
MANY = 10
READS_AN_ORIGINAL = b"GET /images/original/"
AT_WORK = 0.2  # seconds of CPU; to wait takes next to none, and to decode 48 megapixels of PNG more than twice that
LABEL = "victim"
pytestmark = pytest.mark.long


@pytest.fixture
def proxy(new_proxy: Callable[[], CuttingProxy]) -> CuttingProxy:
    """The worker's way to the store."""
    return new_proxy()


@pytest.fixture
def deployment(deploy: Callable[..., Deployment], proxy: CuttingProxy) -> Deployment:
    """The API, with the reaper in it, and a worker of resize, not started yet, that reaches the store by the proxy."""
    found = deploy(CACHE_URL="off", MAX_ATTEMPTS=str(MAX_ATTEMPTS))
    proxy.target = found.minio.port
    found.add("resize", LABEL, MINIO_ENDPOINT=proxy.endpoint)
    found.start("grab")
    return found


def huge() -> bytes:
    """Return a PNG of 48 megapixels, few bytes and much to decode."""
    coarse = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    done, data = cv2.imencode(".png", cv2.resize(coarse, (8000, 6000), interpolation=cv2.INTER_NEAREST))
    assert done
    return data.tobytes()


def messages(deployment: Deployment, queue: str) -> list[dict[str, Any]]:
    """What is in a queue."""
    return [json.loads(raw) for raw in deployment.queue.lrange(queue, 0, -1)]


def hold(deployment: Deployment, proxy: CuttingProxy, image_ids: list[str]) -> None:
    """Start the worker; return when it holds exactly these, and its reads of their originals break."""
    cuts = proxy.cuts
    proxy.cut(READS_AN_ORIGINAL, before_it_runs=True)
    deployment.services[LABEL].start()

    def held() -> bool:
        found = [json.loads(raw)["image_id"] for raw in held_by(deployment.queue, LABEL)]
        return sorted(found) == sorted(image_ids) and proxy.cuts > cuts

    opened(held)


def kill_at_work(deployment: Deployment, proxy: CuttingProxy, image_id: str) -> None:
    """Let the worker have the original that it waits for, and kill it while it decodes that."""
    worker = deployment.services[LABEL]
    before = worker.cpu_seconds
    proxy.mend()
    opened(lambda: worker.cpu_seconds > before + AT_WORK)
    worker.kill()
    [raw] = held_by(deployment.queue, LABEL)
    stored = list(deployment.bucket.list_objects(BUCKET, prefix="resized/", recursive=True))
    if json.loads(raw)["image_id"] != image_id or stored:
        raise RuntimeError("the window did not open: the worker was not killed at work")


def assert_all_went_on_at_their_first_attempt(deployment: Deployment, image_ids: list[str]) -> None:
    """The pictures stand before grayscale, once each, and resize took one attempt."""
    comes("they go on", lambda: deployment.queue.llen("grayscale_queue") >= len(image_ids))
    went_on = messages(deployment, "grayscale_queue")
    promised("each goes on once", sorted(each["image_id"] for each in went_on) == sorted(image_ids))
    promised("no attempt was charged", {each["stages"]["resize"]["attempt"] for each in went_on} == {1})


@pytest.mark.xfail(
    strict=True,
    raises=Broken,
    reason="what a dead worker held goes back with one attempt more, all of it, since nothing shows what it worked on "
    "from what waited in its hands",
)
def test_pictures_that_only_wait_in_flight_at_killed_workers_are_charged_nothing(
    deployment: Deployment, proxy: CuttingProxy
) -> None:
    """Workers that hold many are killed more than MAX_ATTEMPTS times: all come through at their first attempt."""
    image_ids = [deployment.api.take(picture(number)) for number in range(MANY)]
    for _ in range(MAX_ATTEMPTS + 1):
        hold(deployment, proxy, image_ids)
        deployment.services[LABEL].kill()
        comes("all come back", lambda: deployment.queue.llen("resize_queue") == MANY)
        charged = [each["image_id"] for each in messages(deployment, "resize_queue") if each.get("attempt", 1) != 1]
        promised(f"no attempt is charged, but it was for {len(charged)} of {MANY}", not charged)
    proxy.mend()
    deployment.services[LABEL].start()
    assert_all_went_on_at_their_first_attempt(deployment, image_ids)
    promised("none is buried", deployment.queue.llen("dead_letters") == 0)


def test_a_picture_whose_worker_dies_each_time_it_works_on_it_alone_is_dead_lettered(
    deployment: Deployment, proxy: CuttingProxy
) -> None:
    """After MAX_ATTEMPTS deaths it is dead-lettered, with the reason; those behind it are charged nothing."""
    image_id = deployment.api.take(huge(), "huge.png")
    others = [deployment.api.take(picture(number)) for number in range(MANY)]
    for _ in range(MAX_ATTEMPTS):
        hold(deployment, proxy, [image_id])
        kill_at_work(deployment, proxy, image_id)
        comes("all wait again", lambda: deployment.queue.llen("resize_queue") == 1 + MANY)
        assert deployment.api.status(image_id)["status"] != "failed"
    deployment.services[LABEL].start()
    comes("it fails", lambda: deployment.api.status(image_id)["status"] == "failed")
    letters = [json.loads(raw) for raw in deployment.queue.lrange("dead_letters", 0, -1)]
    promised("it alone is buried", [letter["image_id"] for letter in letters] == [image_id])
    reason = letters[0]["reason"]
    promised(f"the reason is that its worker died so often: {reason}", "died" in reason and str(MAX_ATTEMPTS) in reason)
    assert_all_went_on_at_their_first_attempt(deployment, others)

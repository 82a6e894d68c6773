"""Window 12: Redis stands still for 75 seconds and workers are killed meanwhile; every picture is finished, once.

The window: one worker that is killed and one that lives on hold pictures, since their reads of the store break, when
Redis is frozen; the store is well again as soon as it is.
"""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.chaos.deployment import Deployment
from tests.chaos.pictures import picture
from tests.chaos.windows import comes, opened, promised
from tests.chaos.workers import held_by, in_flight
from tests.support.cutting_proxy import CuttingProxy

FROZEN_SECONDS = 75.0
KILLED_AFTER = 20.0  # five leases
EACH = 6
QUEUES = ("resize_queue", "grayscale_queue", "objectdetect_queue", "classify_queue", "tag_queue")
VICTIM, SURVIVOR = "victim", "survivor"
KILLED = (VICTIM, "detect", "tag", "catalogue")
pytestmark = pytest.mark.long


@pytest.fixture
def proxies(new_proxy: Callable[[], CuttingProxy]) -> dict[str, CuttingProxy]:
    """The two workers' ways to the store."""
    return {label: new_proxy() for label in (VICTIM, SURVIVOR)}


@pytest.fixture
def deployment(deploy: Callable[..., Deployment], proxies: dict[str, CuttingProxy]) -> Deployment:
    """Everything, the victim in resize's place and the survivor in grayscale's."""
    found = deploy(CACHE_URL="off")
    for service, label in (("resize", VICTIM), ("grayscale", SURVIVOR)):
        proxies[label].target = found.minio.port
        found.add(service, label, MINIO_ENDPOINT=proxies[label].endpoint)
    found.start("grab", VICTIM, SURVIVOR, "detect", "classify", "tag", "catalogue")
    return found


def fill_in_flight(deployment: Deployment, proxies: dict[str, CuttingProxy]) -> list[str]:
    """Have the survivor hold six pictures, and then the victim six more; return all of their ids."""
    proxies[SURVIVOR].cut(b"GET /images/resized/", before_it_runs=True)
    first = [deployment.api.take(picture(number)) for number in range(EACH)]
    opened(lambda: len(held_by(deployment.queue, SURVIVOR)) == EACH)
    proxies[VICTIM].cut(b"GET /images/original/", before_it_runs=True)
    second = [deployment.api.take(picture(number)) for number in range(EACH, 2 * EACH)]
    opened(lambda: len(held_by(deployment.queue, VICTIM)) == EACH)
    opened(lambda: all(proxy.cuts for proxy in proxies.values()))
    return first + second


def freeze_redis_and_kill(deployment: Deployment, proxies: dict[str, CuttingProxy]) -> None:
    """Stop Redis; while it stands still, kill workers and start them again."""
    thawed = time.monotonic() + FROZEN_SECONDS
    os.kill(deployment.redis.pid, signal.SIGSTOP)
    try:
        for proxy in proxies.values():
            proxy.mend()
        time.sleep(KILLED_AFTER)
        for label in KILLED:
            assert deployment.services[label].running, f"{label} ended by itself"
            deployment.services[label].kill()
            deployment.services[label].start()
        time.sleep(max(0.0, thawed - time.monotonic()))
    finally:
        os.kill(deployment.redis.pid, signal.SIGCONT)


def test_redis_stands_still_and_workers_are_killed(deployment: Deployment, proxies: dict[str, CuttingProxy]) -> None:
    """What was answered 202 is completed, by its first run, and nothing of it is left in any list."""
    image_ids = fill_in_flight(deployment, proxies)
    freeze_redis_and_kill(deployment, proxies)
    ends = [deployment.api.ended(image_id) for image_id in image_ids]
    promised("every picture is completed", {end["status"] for end in ends} == {"completed"})
    promised("by its first run", {end["run"] for end in ends} == {1})

    def listed() -> Counter[str]:
        answer = deployment.api.call("GET", "/images?status=completed&limit=200")
        return Counter(each["image_id"] for each in answer.json["images"]) if answer.status == 200 else Counter()

    comes("the catalogue has each once", lambda: listed() == Counter(image_ids))
    comes("no worker holds anything", lambda: not any(in_flight(deployment.queue).values()))
    promised("none waits", not any(deployment.queue.llen(name) for name in QUEUES))
    letters = [json.loads(raw)["reason"] for raw in deployment.queue.lrange("dead_letters", 0, -1)]
    promised(f"none is buried: {letters}", not letters)
    survivors = [label for label in ("grab", SURVIVOR, "classify") if deployment.services[label].running]
    promised("who was not killed lives on", survivors == ["grab", SURVIVOR, "classify"])

"""Window 1: a worker that stores late, what another has done meanwhile, changes no results of a later run.

The window: the store refuses a worker's writes, so that its committer tries again and again. The worker is stopped, or
cut off from Redis alone, for longer than its lease; another worker does its work; the picture is run again, to its end.
Then the store takes writes again, and the first worker is woken, or comes to reach Redis.
"""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.deployment import BUCKET, STAGES, Deployment, until
from tests.chaos.pictures import picture
from tests.chaos.windows import BATCH_SIZE, Broken, promised
from tests.support.cutting_proxy import CuttingProxy

STOPPED, CUT_OFF = "stopped", "cut off from Redis"
A_WRITE = b"PUT /images/"
REFUSAL = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
# How a picture ends → the stage that ends it, which services come before that, and settings of its workers.
ENDS = {
    "completed": ("tag", ("grab", *(name for name in STAGES if name != "tag")), {}),
    "failed": ("resize", ("grab",), {"MAX_IMAGE_PIXELS": "1000"}),  # which the pictures have more of
}
TRIES_SECONDS = 12.0  # in which a worker that cannot store tries again, more than once


@pytest.fixture
def proxies(new_proxy: Callable[[], CuttingProxy]) -> tuple[CuttingProxy, CuttingProxy]:
    """The late worker's ways to the store and to Redis."""
    return new_proxy(), new_proxy()


@pytest.fixture(params=list(ENDS))
def ending(request: pytest.FixtureRequest) -> str:
    """How the pictures end."""
    return str(request.param)


@pytest.fixture
def deployment(
    deploy: Callable[..., Deployment], proxies: tuple[CuttingProxy, CuttingProxy], ending: str
) -> Deployment:
    """Two workers of the stage that ends pictures: "late", which the proxies serve, and "other", not yet started."""
    store, queue = proxies
    stage, before, settings = ENDS[ending]
    found = deploy()
    store.target, queue.target = found.minio.port, found.redis.port
    found.add(stage, "late", MINIO_ENDPOINT=store.endpoint, REDIS_URL=queue.url, **settings)
    found.add(stage, "other", **settings)
    found.start(*before, "late")
    return found


def results(deployment: Deployment, image_id: str) -> dict[str, Any]:
    """What the bucket says of a picture."""
    answer = deployment.bucket.get_object(BUCKET, f"results/{image_id}.json")
    try:
        return dict(json.loads(answer.read()))
    finally:
        answer.close()
        answer.release_conn()


def fall_out(deployment: Deployment, proxies: tuple[CuttingProxy, CuttingProxy], how: str) -> str:
    """Upload a picture, and have the late worker fall out while it tries to store it; return the picture's id."""
    store, queue = proxies
    store.refuse(A_WRITE, REFUSAL)
    image_id = deployment.api.take(picture(1))
    until(lambda: store.refused)
    if how == STOPPED:
        deployment.services["late"].signal(signal.SIGSTOP)
    else:
        queue.hold()
    return image_id


def come_back(deployment: Deployment, proxies: tuple[CuttingProxy, CuttingProxy], how: str, stays: Callable) -> None:
    """Let the late worker store; and, where it was cut off, let it try to for a while before it reaches Redis again."""
    store, queue = proxies
    store.mend()
    if how == STOPPED:
        deployment.services["late"].signal(signal.SIGCONT)
        return
    ends = time.monotonic() + TRIES_SECONDS
    while stays() and time.monotonic() < ends:
        time.sleep(0.1)
    queue.mend()


@pytest.mark.long
@pytest.mark.xfail(
    strict=True,
    raises=Broken,
    reason="what a storer writes, when it comes to it, depends on no message that its worker still holds: the results "
    "of run 1 come to stand in place of those of run 2",
)
@pytest.mark.parametrize("how", [STOPPED, CUT_OFF])
def test_the_results_stay_those_of_the_last_run(deployment: Deployment, proxies: tuple, how: str, ending: str) -> None:
    """Not a byte of results/ changes after the last run has ended, completed or failed."""
    image_id = fall_out(deployment, proxies, how)
    deployment.start("other")
    until(lambda: deployment.api.ended(image_id)["status"] == ending)
    answer, _ = deployment.api.insist("POST", f"/process/{image_id}?from={ENDS[ending][0]}")
    until(lambda: answer.status == 202, BATCH_SIZE)
    deployment.api.ended(image_id, run=2)
    last = results(deployment, image_id)
    until(lambda: (last["run"], last["status"]) == (2, ending), BATCH_SIZE)

    come_back(deployment, proxies, how, lambda: results(deployment, image_id) == last)
    deployment.services["other"].stop()
    following = deployment.api.take(picture(2))  # which only the late worker can take, when it is done with the first
    assert deployment.api.ended(following)["status"] == ending
    until(lambda: not deployment.queue.keys("stageline:inflight:*"))
    now = results(deployment, image_id)
    promised(f"the results are those of run 2, not {now['run']}, to the last byte", now == last)

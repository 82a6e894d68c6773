"""The API and a worker are killed together, and the API is started again: what the worker held comes back in time.

What must hold: at most lease + lease/3 + 5 seconds after the API's last start, whether it starts at once, after the
lease ran out, or once more after it died again. This promise is a time, so here the test holds a time: from the first
answer of the API to the moment when Redis shows nothing in flight at the dead worker.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import urllib3

from tests.chaos.deployment import LEASE, Deployment, until
from tests.chaos.pictures import picture
from tests.chaos.windows import comes, promised
from tests.chaos.workers import held_by, silence
from tests.support.cutting_proxy import CuttingProxy

LONG_LEASE = 12.0  # seconds; else the API's first five outlast a lease
HELD = 4
JUST_BEATEN = 0.3  # seconds: the lease has nearly all of its time before it
LOOK = 0.02

pytestmark = pytest.mark.long


@pytest.fixture
def deployment(deploy: Callable[..., Deployment], lease: float) -> Iterator[Deployment]:
    """The API, and a worker that holds pictures, since its way to the store is held."""
    found = deploy(PREFETCH=str(HELD), LEASE_SECONDS=f"{lease:g}")
    way = CuttingProxy(found.minio.port)
    found.add("resize", MINIO_ENDPOINT=way.endpoint)
    found.add("resize", "next")
    found.start("grab", "resize")
    way.hold()
    yield found
    way.close()


def answers(deployment: Deployment) -> bool:
    """Whether the API answers."""
    try:
        return deployment.api.call("GET", "/healthz").status == 200
    except urllib3.exceptions.HTTPError:
        return False


def started(deployment: Deployment) -> float:
    """Start the API, and return when it first answered, on the monotonic clock."""
    deployment.services["grab"].start()
    until(lambda: answers(deployment), pause=LOOK)
    return time.monotonic()


def kill_both(deployment: Deployment) -> set[str]:
    """Kill the API and a full worker just after the worker's heartbeat; return the pictures in flight at the worker."""
    ids = {deployment.api.take(picture(number)) for number in range(HELD)}
    queue = deployment.queue
    until(lambda: len(held_by(queue, "resize")) == HELD)
    until(lambda: min(silence(queue).values()) < JUST_BEATEN, pause=LOOK)
    for name in ("grab", "resize"):
        deployment.services[name].kill()
    held = {json.loads(raw)["image_id"] for raw in held_by(queue, "resize")}
    assert held == ids, "the window: all of them are in a dead one's hands"
    return ids


@pytest.mark.parametrize(
    ("how", "lease"),
    [
        ("at once", LEASE),
        ("after the lease", LEASE),
        ("twice", LEASE),
        ("with another worker", LEASE),
        ("at once, with a long lease", LONG_LEASE),
    ],
)
def test_what_a_worker_held_that_died_with_the_api_comes_back_in_time(
    how: str, lease: float, deployment: Deployment, capsys: pytest.CaptureFixture
) -> None:
    """The pictures are in the queue again within the time, each with one attempt more, and another worker does them."""
    most = lease + lease / 3 + 5
    ids = kill_both(deployment)
    queue = deployment.queue
    if how == "with another worker":
        deployment.services["next"].start()
    if how == "after the lease":
        until(lambda: min(silence(queue).values()) > LEASE + 1)
    if how == "twice":
        first = started(deployment)
        until(lambda: time.monotonic() - first > LEASE / 2)  # in the middle of its first five seconds
        deployment.services["grab"].kill()
        assert len(held_by(queue, "resize")) == HELD, "the window: it has returned nothing yet"
    since = started(deployment)
    assert held_by(queue, "resize"), "the window: nothing is returned before the API is there"
    comes("what the dead one held is returned", lambda: not held_by(queue, "resize"), pause=LOOK)
    seconds = time.monotonic() - since
    with capsys.disabled():
        sys.stdout.write(f"\nrecovery, {how}: {seconds:.1f} s after the API's last start; promised: {most:.1f} s\n")
    promised(f"recovery within {most:.1f} s after the API's last start; it was {seconds:.1f}", seconds <= most)
    deployment.services["next"].start()
    comes("another worker does them", lambda: queue.llen("grayscale_queue") == HELD)
    done = [json.loads(raw) for raw in queue.lrange("grayscale_queue", 0, -1)]
    assert {message["image_id"] for message in done} == ids
    assert {message["stages"]["resize"]["attempt"] for message in done} == {2}

"""Redis's clock is set, an hour forward or ten minutes back, while workers have pictures in flight.

What must hold: a living worker keeps what it holds, at its first attempt; what a dead one held comes back, as without
a step of the clock; and nothing that waits for a moment waits for the clock to come there again.
"""

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.chaos.deployment import BUCKET, Deployment, until
from tests.chaos.other_time import OtherTime
from tests.chaos.pictures import picture
from tests.chaos.windows import Broken, comes, promised
from tests.chaos.workers import held_by, in_flight, silence
from tests.support.cutting_proxy import CuttingProxy

HOUR, BACK = 3600, -600  # seconds
LEASE = 6.0  # seconds; two thirds of it are enough to be frozen and go on, on a busy machine, too
GRACE = 6.0  # seconds, a little longer than a reaper that has just started returns nothing
LOOKED = 2.0  # seconds, in which the reaper has looked, which it does once a second
HELD = 4
NEXT = "grayscale_queue"
DELAYED = "stageline:delayed:resize_queue"
WRITER = "stageline:outcomes:writer"
OUTCOMES = "stageline:outcomes"
TIMEOUT = 45.0  # seconds, for what comes within some ten where the clock does not matter

pytestmark = pytest.mark.long
steps = pytest.mark.parametrize("step", [HOUR, BACK])


def fails_when_set_back(reason: str):
    """The step back, at which the promise is not kept today."""
    return pytest.param(BACK, marks=pytest.mark.xfail(strict=True, raises=Broken, reason=reason))


@pytest.fixture
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    """A deployment on a Redis whose clock can be set; its workers hold no more than HELD, and read from MinIO only."""
    retries = {"RETRY_BASE_SECONDS": "6", "RETRY_CAP_SECONDS": "6"}
    found = deploy(PREFETCH=str(HELD), CACHE_URL="off", LEASE_SECONDS=f"{LEASE:g}", **retries)
    found.redis = OtherTime(found.folder / "other-time", found.redis.port)
    return found


@pytest.fixture
def ways(deployment: Deployment) -> Iterator[dict[str, CuttingProxy]]:
    """Two workers, and their ways to the store, which can be held."""
    found = {label: CuttingProxy(deployment.minio.port) for label in ("resize", "other")}
    for label, way in found.items():
        deployment.add("resize", label, MINIO_ENDPOINT=way.endpoint)
    yield found
    for way in found.values():
        way.close()


def is_full(deployment: Deployment, ways: dict[str, CuttingProxy]) -> dict[str, set[str]]:
    """Start the API and the workers, one by one, and give each as many pictures as it holds; return their ids."""
    deployment.start("grab")
    since, ids = time.monotonic(), {}
    for number, (label, way) in enumerate(ways.items()):
        deployment.start(label)
        way.hold()
        ids[label] = {deployment.api.take(picture(HELD * number + each)) for each in range(HELD)}
        until(lambda label=label: in_hand(deployment, label) == ids[label])
    until(lambda: time.monotonic() - since > GRACE)
    return ids


def in_hand(deployment: Deployment, label: str) -> set[str]:
    """The pictures in flight at a worker."""
    return {json.loads(raw)["image_id"] for raw in held_by(deployment.queue, label)}


def check_flow(deployment: Deployment, attempts: dict[str, int]) -> None:
    """Each of these pictures is handed on, once, at that attempt; those that come now are, too."""
    attempts = attempts | {deployment.api.take(picture(90 + each)): 1 for each in range(HELD)}

    def done() -> list[dict]:
        return [json.loads(raw) for raw in deployment.queue.lrange(NEXT, 0, -1)]

    comes("every picture is handed on", lambda: {message["image_id"] for message in done()} == set(attempts))
    promised("each once", len(done()) == len(attempts))
    found = {message["image_id"]: message["stages"]["resize"]["attempt"] for message in done()}
    promised(f"attempts are {attempts}, and were {found}", found == attempts)
    comes("nothing stays in a worker's hands", lambda: not any(in_flight(deployment.queue).values()))
    promised("nothing is buried", deployment.queue.llen("dead_letters") == 0)


def passes(seconds: float) -> None:
    """Wait for that long by this machine's monotonic clock, which is never set."""
    since = time.monotonic()
    until(lambda: time.monotonic() - since > seconds)


def set_clock_between_heartbeats(deployment: Deployment, offset: int, ways: dict[str, CuttingProxy]) -> None:
    """Set the clock while workers stand still, so that the reaper looks before any heartbeat by the new one."""
    with ExitStack() as stack:
        for label in ways:
            stack.enter_context(deployment.services[label].frozen())
        deployment.redis.set_clock(offset)
        passes(LOOKED)


@steps
def test_the_living_keep_what_they_hold(step: int, deployment: Deployment, ways) -> None:
    """Two living workers hold as many as they may, for two leases after the step, and after the step back."""
    ids = is_full(deployment, ways)
    for offset in (step, 0):
        set_clock_between_heartbeats(deployment, offset, ways)
        for _ in range(4):
            held = {label: in_hand(deployment, label) for label in ways}
            promised(f"the living keep {ids}, and had {held}", held == ids)
            passes(LEASE / 2)
    for way in ways.values():
        way.mend()
    check_flow(deployment, dict.fromkeys(set().union(*ids.values()), 1))


@steps
@pytest.mark.parametrize("dies", ["before", "within", "after"])
def test_what_a_dead_one_held_comes_back(dies: str, step: int, deployment: Deployment, ways) -> None:
    """A worker dies before the step, or after it, without or with a heartbeat in between; the other lives."""
    ids = is_full(deployment, ways)
    dead, queue = deployment.services["other"], deployment.queue
    if dies == "before":
        dead.kill()
    if dies == "within":
        with dead.frozen():
            set_clock_between_heartbeats(deployment, step, {"resize": ways["resize"]})
            dead.kill()
    else:
        set_clock_between_heartbeats(deployment, step, ways)
    if dies == "after":
        comes("they beat by the new clock", lambda: all(0 <= each < LEASE for each in silence(queue).values()))
        promised("who lives keeps what it holds", in_hand(deployment, "other") == ids["other"])
        dead.kill()
    comes("what the dead one held is returned", lambda: not held_by(queue, "other"), TIMEOUT)
    promised("the living one keeps what it holds", in_hand(deployment, "resize") == ids["resize"])
    ways["resize"].mend()
    check_flow(deployment, dict.fromkeys(ids["resize"], 1) | dict.fromkeys(ids["other"], 2))


@pytest.mark.parametrize(
    "step",
    [
        HOUR,
        fails_when_set_back(
            "a retry that waits is due by Redis's clock as it was, so that after ten minutes back it comes ten "
            "minutes late"
        ),
    ],
)
def test_a_picture_that_waits_for_its_next_attempt_has_it(step: int, deployment: Deployment) -> None:
    """It failed, as its original was not there, and waits some seconds; the clock is set meanwhile."""
    deployment.start("grab")
    image_id = deployment.api.take(picture(1))
    (original,) = [each.object_name for each in deployment.bucket.list_objects(BUCKET, "original/", recursive=True)]
    deployment.bucket.remove_object(BUCKET, original)
    deployment.start("resize")
    until(lambda: deployment.queue.zcard(DELAYED) == 1)
    data = picture(1)
    deployment.bucket.put_object(BUCKET, original, io.BytesIO(data), len(data), "image/jpeg")
    deployment.redis.set_clock(step)
    if step < 0:
        assert deployment.queue.zcard(DELAYED) == 1, "the window: it waits"
    comes("its next attempt comes within seconds", lambda: deployment.queue.llen(NEXT) == 1, TIMEOUT)
    check_flow(deployment, {image_id: 2})


@pytest.mark.parametrize(
    "step",
    [
        HOUR,
        fails_when_set_back(
            "the lease of a catalogue that died (PX) runs out by Redis's clock, so that after ten minutes back no "
            "other catalogue writes for ten minutes more"
        ),
    ],
)
def test_a_catalogue_that_comes_back_writes(step: int, deployment: Deployment) -> None:
    """It died, and what says that it writes still stands in Redis; the clock is set before that has run out."""
    deployment.start("grab", "catalogue")
    queue = deployment.queue
    until(lambda: queue.exists(WRITER))
    deployment.services["catalogue"].kill()
    deployment.redis.set_clock(step)
    if step < 0:
        assert queue.pttl(WRITER) > -step * 900, "the window: it would run out when the clock is there again"
    deployment.api.take(picture(1))
    assert queue.llen(OUTCOMES) > 0
    deployment.start("catalogue")
    comes("it takes the outcomes off their list", lambda: queue.llen(OUTCOMES) == 0, TIMEOUT)

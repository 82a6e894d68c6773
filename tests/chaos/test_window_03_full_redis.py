"""Redis is at `maxmemory`: what would make room must be able to, and work in flight must not be held against anybody.

What must hold: a catalogue that comes back takes the waiting outbox events, which makes room, so that everything
flows again by itself. A worker that cannot send a heartbeat for longer than a lease, because Redis takes no
writes, is not called dead.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chaos.deployment import LEASE, Deployment, until
from tests.chaos.pictures import picture
from tests.chaos.windows import Broken, comes, promised
from tests.chaos.workers import held_by, in_flight, silence
from tests.support.cutting_proxy import CuttingProxy
from tests.support.redis_moods import SERVERS, program
from tests.support.servers import RedisServer

NEXT = "grayscale_queue"
OUTCOMES = "stageline:outcomes"
ENOUGH = 600_000  # bytes of outbox events, of which half are more than a few connections need
AT_A_TIME = 100
HELD = 4
TIMEOUT = 30.0  # seconds, for what takes three or so
LONG_NAME = "a" * 150 + ".jpg"

pytestmark = pytest.mark.long


@pytest.fixture(params=SERVERS)
def deployment(request: pytest.FixtureRequest, deploy: Callable[..., Deployment]) -> Deployment:
    """A deployment on each server, whose workers hold no more than HELD."""
    found = deploy(PREFETCH=str(HELD))
    found.redis = RedisServer(found.folder / "redis", found.redis.extra_args, found.redis.port, program(request.param))
    return found


@pytest.fixture
def way(deployment: Deployment) -> Iterator[CuttingProxy]:
    """The worker's way to the store, which can be held."""
    found = CuttingProxy(deployment.minio.port)
    deployment.add("resize", MINIO_ENDPOINT=found.endpoint)
    yield found
    found.close()


def take_many(deployment: Deployment, first: int, count: int) -> set[str]:
    """Upload that many small pictures of long names, which all must be taken; return their ids."""
    with ThreadPoolExecutor(4) as pool:
        numbers = range(first, first + count)
        return set(pool.map(lambda number: deployment.api.take(picture(number, 16), LONG_NAME), numbers))


def taken_in_hand(deployment: Deployment, label: str, first: int) -> set[str]:
    """Upload as many pictures as a worker holds, wait until they are in flight; return their ids."""
    ids = take_many(deployment, first, HELD)
    until(lambda: {json.loads(raw)["image_id"] for raw in held_by(deployment.queue, label)} == ids)
    return ids


def fill(deployment: Deployment, below: int) -> None:
    """Have Redis be that many bytes over its `maxmemory`; see that the API says so."""
    queue = deployment.queue
    queue.config_set("maxmemory", queue.info("memory")["used_memory"] - below)
    refused = deployment.api.upload(picture(0))
    assert refused.status == 503, refused
    assert b"OOM" in refused.data


def until_all_are_silent(deployment: Deployment) -> None:
    """Wait until no worker has had a heartbeat for longer than a lease: Redis takes none."""
    until(lambda: min(silence(deployment.queue).values()) > LEASE + 1)


def handed_on(deployment: Deployment, ids: set[str]) -> dict[str, int]:
    """The attempt at which each of these pictures that is resized was; twice resized is a fault."""
    messages = [json.loads(raw) for raw in deployment.queue.lrange(NEXT, 0, -1)]
    found = [message for message in messages if message["image_id"] in ids]
    attempts = {message["image_id"]: message["stages"]["resize"]["attempt"] for message in found}
    promised("each picture is handed on once", len(attempts) == len(found))
    return attempts


def all_handed_on(deployment: Deployment, ids: set[str]) -> Callable[[], bool]:
    """Whether each of these pictures is."""
    return lambda: set(handed_on(deployment, ids)) == ids


@pytest.mark.xfail(
    strict=True,
    raises=Broken,
    reason="a catalogue that comes back to a full Redis takes nothing: its lease is a SET, which is refused, so that "
    "the outcomes, whose going would make room, stay for ever, and the API refuses for ever",
)
def test_a_catalogue_that_comes_back_makes_room(deployment: Deployment, way: CuttingProxy) -> None:
    """Outbox events fill Redis while the catalogue is away; pictures are in flight for longer than a lease."""
    deployment.start("grab", "resize", "catalogue")
    deployment.services["catalogue"].kill()
    queue, sent = deployment.queue, set[str]()
    while (bytes_of_outbox := queue.memory_usage(OUTCOMES, samples=0) or 0) < ENOUGH:
        sent |= take_many(deployment, len(sent), AT_A_TIME)
    until(all_handed_on(deployment, sent))
    way.hold()
    in_hand = taken_in_hand(deployment, "resize", len(sent))
    fill(deployment, below=bytes_of_outbox // 2)
    until_all_are_silent(deployment)
    waiting = queue.llen(OUTCOMES)
    way.mend()
    deployment.services["catalogue"].start()
    comes(f"the catalogue takes the {waiting} outcomes off their list", lambda: queue.llen(OUTCOMES) == 0, TIMEOUT)
    comes("the API takes pictures again", lambda: deployment.api.upload(picture(1)).status == 202)
    comes("what was in flight is handed on", all_handed_on(deployment, in_hand))
    promised("no attempt is counted", set(handed_on(deployment, in_hand).values()) == {1})
    comes("nothing stays in a worker's hands", lambda: not any(in_flight(queue).values()))


def test_a_worker_without_heartbeat_while_redis_is_full_is_not_called_dead(
    deployment: Deployment, way: CuttingProxy
) -> None:
    """Two workers are silent for longer than a lease, and one of them has died: its pictures come back, no others."""
    deployment.start("grab", "resize")
    queue = deployment.queue
    way.hold()
    of_the_living = taken_in_hand(deployment, "resize", 0)
    his_way = CuttingProxy(deployment.minio.port)
    deployment.add("resize", "other", MINIO_ENDPOINT=his_way.endpoint)
    deployment.start("other")
    his_way.hold()
    of_the_dead = taken_in_hand(deployment, "other", HELD)
    fill(deployment, below=1_000_000)
    deployment.services["other"].kill()
    his_way.close()
    until_all_are_silent(deployment)
    queue.config_set("maxmemory", 0)
    comes("what the dead one held is returned", lambda: not held_by(queue, "other"))
    still = {json.loads(raw)["image_id"] for raw in held_by(queue, "resize")}
    promised("what the living one holds is left to it", still == of_the_living)
    way.mend()
    comes("everything flows again", all_handed_on(deployment, of_the_living | of_the_dead))
    promised("the living one's attempts are the first", set(handed_on(deployment, of_the_living).values()) == {1})
    assert set(handed_on(deployment, of_the_dead).values()) == {2}, "the dead one's count"


def test_work_in_flight_goes_on_to_its_end_while_redis_is_full(deployment: Deployment, way: CuttingProxy) -> None:
    """The store comes back before there is room: what was in hand is handed on, what waits follows once there is."""
    deployment.start("grab", "resize")
    way.hold()
    in_hand = taken_in_hand(deployment, "resize", 0)
    waiting = take_many(deployment, HELD, 2 * HELD)
    fill(deployment, below=1_000_000)
    until_all_are_silent(deployment)
    way.mend()
    comes("what was in hand is handed on", all_handed_on(deployment, in_hand))
    promised("Redis was full all the while", not handed_on(deployment, waiting))
    deployment.queue.config_set("maxmemory", 0)
    comes("what waited follows", all_handed_on(deployment, in_hand | waiting))
    promised("no attempt is counted", set(handed_on(deployment, in_hand | waiting).values()) == {1})

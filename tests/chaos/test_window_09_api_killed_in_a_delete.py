"""Window 9: the API is killed in the middle of a DELETE, and nothing of the picture comes back.

The window: Redis knows that the picture is deleted, and not all that there is of it is removed. The API stands still
there, by a proxy that holds the next request, until it is killed. Its client has no answer then, and may not ask again.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import urllib3

from tests.chaos.deployment import Deployment, until
from tests.chaos.pictures import picture
from tests.chaos.windows import BATCH_SIZE, Broken, promised
from tests.support.cutting_proxy import CuttingProxy

FIRST_OBJECT, LAST_OBJECT = b"DELETE /images/", b"DELETE /images/results/"
EXPIRES, STAYS = "2", "3600"  # seconds that Redis keeps the status of a picture that has ended, or is deleted
COMES_BACK = pytest.mark.xfail(
    strict=True,
    raises=Broken,
    reason="what is left in the bucket, and a dead letter, is removed by nobody, and once the deleted picture's status "
    "has expired, GET /status shows it again from results/",
)


@pytest.fixture
def proxies(new_proxy: Callable[[], CuttingProxy]) -> tuple[CuttingProxy, CuttingProxy]:
    """The API's ways to the store and to Redis."""
    return new_proxy(), new_proxy()


@pytest.fixture
def status_ttl(request: pytest.FixtureRequest) -> str:
    """How long a status is kept: where a test says nothing, it has expired before the API is there again."""
    return str(getattr(request, "param", EXPIRES))


@pytest.fixture
def deployment(
    deploy: Callable[..., Deployment], proxies: tuple[CuttingProxy, CuttingProxy], status_ttl: str
) -> Deployment:
    """A deployment whose API "grab" reaches the store and Redis by the proxies; not yet started."""
    store, queue = proxies
    found = deploy(STATUS_TTL=status_ttl, MAX_ATTEMPTS="2")
    store.target, queue.target = found.minio.port, found.redis.port
    found.add("grab", MINIO_ENDPOINT=store.endpoint, REDIS_URL=queue.url)
    return found


@contextmanager
def killed_in_a_delete(deployment: Deployment, image_id: str, proxy: CuttingProxy, words: bytes) -> Iterator[None]:
    """Send a DELETE, kill the API at its request with these words, run the block, and start the API again."""
    api = deployment.api

    def delete() -> None:
        with suppress(urllib3.exceptions.HTTPError):
            api.call("DELETE", f"/image/{image_id}")

    proxy.hold_from(words)
    client = threading.Thread(target=delete)
    client.start()
    until(lambda: proxy.held)
    deployment.services["grab"].kill()
    client.join()
    proxy.drop_connections()
    proxy.mend()
    yield
    deployment.start("grab")


def of_it(deployment: Deployment, image_id: str) -> set[str]:
    """What the bucket has of a picture."""
    return {key for key in deployment.stored() if f"/{image_id}." in key}


def assert_it_stays_away(deployment: Deployment, image_id: str) -> None:
    """Either it is shown again, which must not be, or all of it goes."""

    def shown() -> bool:
        return bool(deployment.api.status(image_id)["status"] != "unknown")

    until(lambda: shown() or not of_it(deployment, image_id))
    promised(f"it stays deleted, of which the bucket has {of_it(deployment, image_id)}", not shown())
    until(lambda: not deployment.queue.exists("dead_letters"))
    assert not shown()


@pytest.mark.long
@pytest.mark.parametrize("words", [FIRST_OBJECT, LAST_OBJECT], ids=["before the first object", "before the last"])
@COMES_BACK
def test_a_completed_picture_stays_deleted(deployment: Deployment, proxies: tuple, words: bytes) -> None:
    """Of a completed picture nothing stays in the bucket, nor in the catalogue, nor is its status returned again."""
    deployment.start()
    image_id = deployment.api.take(picture(1))
    assert deployment.api.ended(image_id)["status"] == "completed"
    of_catalogue = "SELECT 1 FROM image_info WHERE image_key = %s"
    until(lambda: deployment.rows(of_catalogue, image_id))
    with killed_in_a_delete(deployment, image_id, proxies[0], words):
        until(lambda: f"results/{image_id}.json" in of_it(deployment, image_id), BATCH_SIZE)
    until(lambda: not deployment.rows(of_catalogue, image_id))
    assert_it_stays_away(deployment, image_id)


@COMES_BACK
def test_a_failed_picture_stays_deleted(deployment: Deployment, proxies: tuple) -> None:
    """Of a failed picture the dead letter goes, too, also where the API was killed before it came to that."""
    deployment.start("grab", "resize")
    deployment.queue.rpush("resize_queue", json.dumps({"image_id": "a", "original_path": "original/a.jpg"}))
    assert deployment.api.ended("a")["status"] == "failed"
    with killed_in_a_delete(deployment, "a", proxies[1], b"dead_letters"):
        until(lambda: deployment.queue.llen("dead_letters") == 1, BATCH_SIZE)
    assert_it_stays_away(deployment, "a")


def test_a_picture_on_its_way_stays_deleted(deployment: Deployment, proxies: tuple) -> None:
    """The worker that takes a deleted picture next drops it, and removes what the killed API left."""
    deployment.start("grab", "resize")
    image_id = deployment.api.take(picture(1))
    until(lambda: deployment.queue.llen("grayscale_queue"))
    with killed_in_a_delete(deployment, image_id, proxies[0], FIRST_OBJECT):
        until(lambda: len(of_it(deployment, image_id)) == 2, BATCH_SIZE)
    deployment.start("grayscale")
    assert_it_stays_away(deployment, image_id)
    until(lambda: not deployment.queue.keys("stageline:inflight:*"))
    assert not deployment.queue.exists("grayscale_queue", "objectdetect_queue")


@pytest.mark.parametrize("status_ttl", [EXPIRES, STAYS], ids=["status expired", "status there"], indirect=True)
def test_a_delete_that_is_sent_again_ends_what_was_begun(deployment: Deployment, proxies: tuple) -> None:
    """A client that had no answer sends its DELETE to the next API: nothing is left after that."""
    deployment.start("grab", "resize")
    deployment.queue.rpush("resize_queue", json.dumps({"image_id": "a", "original_path": "original/a.jpg"}))
    assert deployment.api.ended("a")["status"] == "failed"
    with killed_in_a_delete(deployment, "a", proxies[0], LAST_OBJECT):
        until(lambda: of_it(deployment, "a") == {"results/a.json"}, BATCH_SIZE)
    answer, _ = deployment.api.insist("DELETE", "/image/a")
    assert answer.status == 204
    assert not of_it(deployment, "a")
    assert_it_stays_away(deployment, "a")

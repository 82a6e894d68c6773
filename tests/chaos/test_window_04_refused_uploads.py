"""Window 4: an upload that is refused, by a full line or a full Redis, leaves nothing, and is not run later on.

The window: the API has asked whether there is room, and there was. While it stores the original, the room is taken.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.chaos.api_client import Answer, ApiClient
from tests.chaos.deployment import Deployment, until
from tests.chaos.pictures import picture
from tests.chaos.windows import Broken, promised
from tests.support.cutting_proxy import CuttingProxy

STORES_AN_ORIGINAL = b"PUT /images/original/"
REMOVES_AN_ORIGINAL = b"DELETE /images/original/"


@pytest.fixture
def proxy(new_proxy: Callable[[], CuttingProxy]) -> CuttingProxy:
    """The slow API's way to the store."""
    return new_proxy()


@pytest.fixture
def deployment(deploy: Callable[..., Deployment], proxy: CuttingProxy) -> Deployment:
    """Two API processes and no worker, room for one picture; the API "slow" reaches the store by the proxy."""
    found = deploy(MAX_QUEUE_SIZE="1")
    proxy.target = found.minio.port
    found.add("grab", "slow", MINIO_ENDPOINT=proxy.endpoint)
    found.start("grab", "slow")
    return found


@contextmanager
def storing(deployment: Deployment, proxy: CuttingProxy) -> Iterator[Future[Answer]]:
    """Send an upload to the slow API; as long as the block runs, it stands still in the storing of its original."""
    slow = ApiClient(f"http://127.0.0.1:{deployment.services['slow'].port}")
    proxy.hold_from(STORES_AN_ORIGINAL)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(slow.upload, picture(1))
        try:
            until(lambda: proxy.held)
            yield answer
        finally:
            proxy.mend()


def assert_only_the_accepted_are_there(deployment: Deployment, answers: list[Answer]) -> None:
    """`reconcile --queue` runs no other, and the originals, now or soon, are theirs."""
    accepted = {answer.json["image_id"] for answer in answers if answer.status == 202}
    deployment.command("reconcile", "--queue")
    queued = [json.loads(message)["image_id"] for message in deployment.queue.lrange("resize_queue", 0, -1)]
    promised(f"only the accepted are run, {accepted}, not {queued}", sorted(queued) == sorted(accepted))
    until(lambda: {key.split("/")[1].split(".")[0] for key in deployment.stored("original/")} == accepted)


def test_an_upload_that_finds_the_line_full_leaves_no_original(deployment: Deployment, proxy: CuttingProxy) -> None:
    """The last place is taken while the original is being stored; and a line that is full from the beginning."""
    with storing(deployment, proxy) as pending:
        other = deployment.api.upload(picture(2))
    answers = [pending.result(), other, deployment.api.upload(picture(3))]
    assert sorted(answer.status for answer in answers) == [202, 429, 429]
    assert_only_the_accepted_are_there(deployment, answers)


@pytest.mark.xfail(
    strict=True,
    raises=Broken,
    reason="an original that the store does not remove at once stays for ever, and `reconcile --queue` runs it: "
    "it cannot be distinguished from one that was accepted and forgotten",
)
def test_an_original_that_cannot_be_removed_at_once_is_not_run(deployment: Deployment, proxy: CuttingProxy) -> None:
    """The last place is taken while the original is being stored, and the store breaks when that is to be removed."""
    with storing(deployment, proxy) as pending:
        other = deployment.api.upload(picture(2))
        proxy.cut(REMOVES_AN_ORIGINAL, before_it_runs=True)
        proxy.release()
        answers = [pending.result(), other]
    assert sorted(answer.status == 202 for answer in answers) == [False, True], answers
    assert_only_the_accepted_are_there(deployment, answers)


@pytest.mark.xfail(
    strict=True,
    raises=Broken,
    reason="Redis refuses the step that accepts the picture after its original was stored: nobody removes that, and "
    "`reconcile --queue` runs the refused upload",
)
def test_an_upload_that_finds_redis_full_leaves_no_original(deployment: Deployment, proxy: CuttingProxy) -> None:
    """Redis comes to `maxmemory` while the original is being stored; and a Redis that is full from the beginning."""
    queue = deployment.queue
    with storing(deployment, proxy) as pending:
        queue.config_set("maxmemory", 1)
    answers = [pending.result(), deployment.api.upload(picture(2))]
    queue.config_set("maxmemory", 0)
    assert [answer.status for answer in answers] == [503, 503]
    assert_only_the_accepted_are_there(deployment, answers)

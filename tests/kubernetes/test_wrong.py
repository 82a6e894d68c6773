"""What is missing or wrong on the cluster: pods wait, say in a line what it is, and go on by themselves afterwards.

None of them is restarted meanwhile, so that no back-off delays them; only a malformed setting ends a process.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kubernetes import deployed
from tests.kubernetes.deployed import SERVICES, STAGES, WORKLOADS
from tests.kubernetes.kubectl import get, kubectl, pods, secret, wait_until
from tests.kubernetes.uploader import ask, send
from tests.kubernetes.watcher import Watcher

MALFORMED = 78
A_WHILE = 20.0
UNTIL_NOTICED = 180.0  # a changed Secret reaches its files within a minute or two


@pytest.fixture(autouse=True)
def _nothing_before(cluster: Watcher) -> None:
    """What happened in other tests is theirs."""
    deployed.wait_ready()
    cluster.unexplained()


@pytest.fixture
def secret_as_it_was() -> Iterator[dict[str, str]]:
    """The Secret, which a test changes; afterwards it is as before, and so is the line."""
    before = secret()
    yield before
    deployed.set_secret(**before)
    deployed.nudge()
    deployed.wait_ready()


def is_ready(name: str) -> bool:
    """Whether every pod of a workload says so."""
    found = [one for pod in pods(name) for one in pod["status"]["conditions"] if one["type"] == "Ready"]
    return bool(found) and all(one["status"] == "True" for one in found)


def wait_unready(names: tuple[str, ...]) -> None:
    """Wait until none of them is ready."""
    wait_until(lambda: not any(is_ready(name) for name in names), f"unready: {', '.join(names)}", UNTIL_NOTICED)


def said(name: str, *words: str, container: str | None = None) -> str:
    """The first line in a workload's log that has all of these words."""
    rows = deployed.logs(name, container).splitlines()
    found = next((row for row in rows if all(word in row for word in words)), None)
    assert found, f"{name} says nothing of {words}: {rows[-5:]}"
    return found


def a_picture_goes_through(picture: Path) -> None:
    """One that is sent now is completed."""

    def taken() -> bytes | None:
        status, body = send(picture)
        return body if status == 202 else None

    image_id = json.loads(wait_until(taken, "a picture is taken"))["image_id"]
    wait_until(lambda: ask(f"/status/{image_id}")["status"] == "completed", "it is completed")


@pytest.fixture
def prefetch() -> Iterator[Callable[[str | None], None]]:
    """Give a setting in the ConfigMap a value, or take it out again, and roll resize; at the end it is out."""

    def put(value: str | None) -> None:
        kubectl("patch", "configmap", "stageline", "--type=merge", "--patch", json.dumps({"data": {"PREFETCH": value}}))
        kubectl("rollout", "restart", "deployment/resize")

    yield put
    if "PREFETCH" in deployed.config():
        put(None)
        deployed.wait_ready()


def test_a_malformed_setting_ends_the_process_and_is_named(
    cluster: Watcher, prefetch: Callable[[str | None], None], pictures: list[Path]
) -> None:
    """Exit status 78 and a sentence with the variable; the pod from before goes on until it is mended."""
    prefetch("many")

    def ended() -> set[int]:
        states = [one for pod in pods("resize") for one in pod["status"].get("containerStatuses", [])]
        return {one["lastState"]["terminated"]["exitCode"] for one in states if one["lastState"].get("terminated")}

    assert wait_until(ended, "the new pod ends") == {MALFORMED}
    new = next(pod for pod in pods("resize") if pod["status"]["containerStatuses"][0]["restartCount"])

    def logged() -> str:
        shown = kubectl("logs", new["metadata"]["name"])
        return shown if "PREFETCH='many'" in shown else ""

    assert "Traceback" not in wait_until(logged, "its log names the variable")  # between two starts there is none
    a_picture_goes_through(pictures[0])
    prefetch(None)
    deployed.wait_ready()
    assert cluster.unexplained(ended={"resize": MALFORMED}, restarted=("resize",)) == []


def test_a_wrong_redis_password_is_named_and_mended(
    cluster: Watcher, secret_as_it_was: dict[str, str], pictures: list[Path]
) -> None:
    """Each service that needs Redis reports that it refuses the password, and goes on when the right one is back."""
    deployed.set_secret(REDIS_PASSWORD="not-the-one")
    deployed.nudge()
    wait_unready(SERVICES)
    for name in SERVICES:
        wait_until(lambda name=name: said(name, "Redis refuses the password", "REDIS_PASSWORD"), f"{name} says so")
    deployed.set_secret(**secret_as_it_was)
    deployed.nudge()
    deployed.wait_ready()
    a_picture_goes_through(pictures[0])
    assert cluster.unexplained() == []


def test_a_wrong_key_of_the_store_is_named_and_mended(
    cluster: Watcher, secret_as_it_was: dict[str, str], pictures: list[Path]
) -> None:
    """A secret that MinIO refuses: the process that makes the line's user reports it, as do all users of the store."""
    deployed.set_secret(MINIO_SECRET_KEY="short")
    deployed.nudge()
    wait_unready(("grab", *STAGES))
    wait_until(lambda: said("minio", "MINIO_SECRET_KEY", container="line-user"), "line-user says so")
    for name in ("grab", *STAGES):
        wait_until(lambda name=name: said(name, "MINIO_SECRET_KEY"), f"{name} says so")
    deployed.set_secret(**secret_as_it_was)
    deployed.nudge()
    deployed.wait_ready()
    a_picture_goes_through(pictures[0])
    assert cluster.unexplained() == []


@pytest.mark.parametrize(("server", "waiting"), [("redis", SERVICES), ("minio", ("grab", *STAGES))])
def test_a_server_is_away_for_a_while(
    server: str, waiting: tuple[str, ...], cluster: Watcher, pictures: list[Path]
) -> None:
    """Its users are unready, none is restarted, and all go on once it is back."""
    kubectl("scale", f"statefulset/{server}", "--replicas=0")
    wait_until(lambda: not pods(server), "it is gone")
    wait_unready(waiting)
    time.sleep(A_WHILE)
    kubectl("scale", f"statefulset/{server}", "--replicas=1")
    deployed.wait_ready()
    a_picture_goes_through(pictures[0])
    assert cluster.unexplained() == []


def test_pods_end_in_time_when_all_go_at_once(cluster: Watcher, report: list[str]) -> None:
    """Deleting the namespace takes the servers away while all services end; still none has to be killed."""
    running = {f"{pod['metadata']['name']} {pod['metadata']['uid'][:8]}" for pod in pods()}
    begun = time.monotonic()
    deployed.delete_namespace()
    report.append(f"the namespace was gone after {time.monotonic() - begun:.0f} s")
    assert {one.pod for one in cluster.exits()} >= running, "how some of them ended was not seen"
    assert cluster.unexplained() == []


def test_a_missing_secret_is_named_and_made_later(cluster: Watcher, pictures: list[Path], report: list[str]) -> None:
    """Without the Secret all pods start and wait, each says what is missing; made later, it is taken up by itself."""
    deployed.apply_each()
    wait_until(lambda: len(pods()) == len(WORKLOADS), "every pod is there")
    for name in SERVICES:
        wait_until(lambda name=name: said(name, "the Secret is missing"), f"{name} says so")
    for name in ("redis", "cache", "minio", "postgres"):
        wait_until(lambda name=name: said(name, "the Secret stageline", container="credentials"), f"{name} says so")
    time.sleep(A_WHILE)
    assert not any(is_ready(name) for name in WORKLOADS)
    deployed.make_secret()
    begun = time.monotonic()
    deployed.wait_ready()
    report.append(f"{time.monotonic() - begun:.0f} s after the Secret was made, all was ready by itself")
    a_picture_goes_through(pictures[0])
    assert cluster.unexplained() == []
    assert get("secret", "stageline")["type"] == "Opaque"

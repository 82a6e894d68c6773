"""While pictures flow, all that can be taken away is: what was accepted is finished, once, and nothing is killed.

Every test ends with the judge: see tests/kubernetes/judge.py.
"""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.kubernetes import deployed
from tests.kubernetes.deployed import SERVERS, SERVICES, STAGES
from tests.kubernetes.judge import Judge
from tests.kubernetes.kubectl import kubectl, pods, wait_until
from tests.kubernetes.uploader import Uploader, ask

NEXT_TAG = os.environ.get("STAGELINE_TEST_NEXT_TAG")
FLOWING = 5  # pictures
SIGNALS = """
import os, signal, sys
named = lambda pid: b"_service" in open(f"/proc/{pid}/cmdline", "rb").read()
services = {pid for pid in os.listdir("/proc") if pid.isdigit() and named(pid)}
for pid in services - {str(os.getpid())}:
    if open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1] in services:
        os.kill(int(pid), getattr(signal, "SIG" + sys.argv[1]))
        print(pid)
"""


def let_flow(uploader: Uploader) -> None:
    """Wait until some more pictures were taken."""
    before = len(uploader.accepted)
    wait_until(lambda: len(uploader.accepted) >= before + FLOWING, "pictures are taken")


@pytest.mark.parametrize("name", [*SERVICES, "cache"])
def test_its_pod_is_deleted(name: str, uploader: Uploader, judge: Judge) -> None:
    """A pod that is deleted finishes or gives back what it holds, and another takes its place."""
    let_flow(uploader)
    kubectl("delete", "pod", "--wait=false", "--selector", f"app.kubernetes.io/name={name}")
    let_flow(uploader)
    judge.all_is_well()


@pytest.fixture
def with_children(judge: Judge) -> Iterator[Callable[[str], None]]:
    """Have a stage's worker as a child of its container's first process, which no signal from inside can end."""
    changed = []

    def change(name: str) -> None:
        changed.append(name)
        kubectl("set", "env", f"deployment/{name}", "NUM_WORKERS=2")
        deployed.wait_ready()

    yield change
    for name in changed:
        kubectl("set", "env", f"deployment/{name}", "NUM_WORKERS-")
    deployed.wait_ready()


@pytest.mark.parametrize("name", ["detect", "tag"])
def test_workers_are_killed_with_pictures_in_flight(
    name: str, uploader: Uploader, judge: Judge, with_children: Callable[[str], None]
) -> None:
    """What they held is returned by the reaper, and its history says that a worker was lost."""
    with_children(name)
    signal_workers(name, "STOP")
    sent = len(uploader.accepted)
    wait_until(lambda: ask("/queue-status")["stages"][name]["in_flight"] > 0, "they hold pictures")
    signal_workers(name, "KILL")
    let_flow(uploader)
    judge.all_is_well()
    histories = [
        ask(f"/status/{one}")["results"].get("history", []) for one in uploader.accepted[max(0, sent - 10) : sent + 30]
    ]
    assert (name, "lost") in {(entry["stage"], entry["state"]) for history in histories for entry in history}


def signal_workers(name: str, signal: str) -> None:
    """Send a signal to the children of a stage's supervisor."""
    output = kubectl("exec", f"deployment/{name}", "--", "python", "-P", "-c", SIGNALS, signal)
    assert len(output.split()) == 2, (
        f"SIG{signal} went to {output.split()}, and {name} was to have two workers as children"
    )


def test_every_deployment_is_rolled(uploader: Uploader, judge: Judge, report: list[str]) -> None:
    """All Deployments at once get a new image (STAGELINE_TEST_NEXT_TAG), or at least new pods, and pictures flow on."""
    let_flow(uploader)
    before, refused = {pod["metadata"]["uid"] for pod in pods()}, uploader.retried
    if NEXT_TAG is None:
        report.append("rolled by `kubectl rollout restart`: STAGELINE_TEST_NEXT_TAG names no other tag")
    for name in SERVICES:
        image = deployed.images_of(name).pop().rpartition(":")[0]
        if NEXT_TAG is None:
            kubectl("rollout", "restart", f"deployment/{name}")
        else:
            kubectl("set", "image", f"deployment/{name}", f"{name}={image}:{NEXT_TAG}")
    kubectl("rollout", "restart", "deployment/cache")
    let_flow(uploader)
    judge.all_is_well()
    for name in (*SERVICES, "cache"):
        assert not {pod["metadata"]["uid"] for pod in pods(name)} & before, f"{name} was not rolled"
    if NEXT_TAG is not None:
        assert {image.rpartition(":")[2] for name in SERVICES for image in deployed.images_of(name)} == {NEXT_TAG}
    report.append(f"while everything was rolled, {uploader.retried - refused} uploads were not answered at first")


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_scaled_to_zero_and_back(name: str, uploader: Uploader, judge: Judge) -> None:
    """Without its pods a stage's pictures wait; with them they go on."""
    wanted = deployed.replicas(name)
    let_flow(uploader)
    kubectl("scale", f"deployment/{name}", "--replicas=0")
    wait_until(lambda: not pods(name), "no pod is left")
    wait_until(lambda: ask("/queue-status")["stages"][name]["waiting"] > 0, "its pictures wait")
    kubectl("scale", f"deployment/{name}", f"--replicas={wanted}")
    judge.all_is_well()


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_restarted(name: str, uploader: Uploader, judge: Judge) -> None:
    """Each service that needs it waits for it, and goes on by itself; no pod of the line's is restarted for it."""
    let_flow(uploader)
    kubectl("delete", "pod", f"{name}-0", "--wait=false")
    let_flow(uploader)
    judge.all_is_well()


def test_the_nodes_are_drained(uploader: Uploader, judge: Judge, nodes: list[str], uncordoned: None) -> None:
    """Every pod is evicted, its disruption budget heeded, and comes back when its node does."""
    for node in nodes:
        let_flow(uploader)
        kubectl(
            "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=240s",
            "--pod-selector=app.kubernetes.io/part-of=stageline", timeout=260,
        )  # fmt: skip
        kubectl("uncordon", node)
        deployed.wait_ready()
    let_flow(uploader)
    judge.all_is_well()


def test_no_picture_was_ended_twice(uploader: Uploader, judge: Judge) -> None:
    """After all of it: as many pictures were counted as completed as there are, each with one result."""
    uploader.stop()
    judge.all_is_well()
    with deployed.bucket() as store:
        results = {key.removeprefix("results/").removesuffix(".json") for key in store.keys("results/")}
    rows = deployed.rows()
    assert set(uploader.accepted) <= results
    assert {one: status for one, status in rows.items() if status != "completed"} == {}
    assert set(rows) == results
    assert ask("/stats?minutes=60")["completed"] <= len(rows)

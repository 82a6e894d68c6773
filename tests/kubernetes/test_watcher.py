"""The watcher sees what must not happen: these tests make it happen, to pods of their own."""

import json
from collections.abc import Iterator

import pytest

from tests.kubernetes.deployed import images_of
from tests.kubernetes.kubectl import items, kubectl, wait_until
from tests.kubernetes.watcher import KILLED, Watcher

NAME = "ends-badly"
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture
def run(cluster: Watcher) -> Iterator[object]:
    """Start a pod that runs a script of the shell, in the image of Redis, which every node has."""

    def start(script: str) -> None:
        container = {
            "name": "shell",
            "image": images_of("redis").pop(),
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", script],
            "securityContext": RESTRICTED,
        }
        secure = {"runAsNonRoot": True, "runAsUser": 999, "seccompProfile": {"type": "RuntimeDefault"}}
        spec = {"containers": [container], "securityContext": secure, "automountServiceAccountToken": False}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME}, "spec": spec}
        kubectl("apply", "--filename", "-", stdin=json.dumps(pod))

    cluster.unexplained()
    yield start
    kubectl("delete", "pod", NAME, "--ignore-not-found", "--grace-period=1")
    cluster.unexplained()


def status() -> dict[str, object]:
    """What the pod's only container does."""
    found = items("pods", "--field-selector", f"metadata.name={NAME}")
    return found[0]["status"].get("containerStatuses", [{}])[0] if found else {}


def test_a_container_that_is_killed_after_its_grace_period_is_seen(run, cluster: Watcher) -> None:
    """A container that ignores SIGTERM ends with 137, and that is reported once."""
    run("trap '' TERM; while :; do sleep 1; done")
    wait_until(lambda: status().get("ready"), "it runs")
    kubectl("delete", "pod", NAME, "--grace-period=2")
    problems = wait_until(cluster.unexplained, "it is reported")
    assert len(problems) == 1
    assert f"{NAME} " in problems[0]
    assert f"/shell ended with {KILLED}" in problems[0]
    assert cluster.unexplained() == []


def test_a_container_that_crashes_and_is_started_again_is_seen(run, cluster: Watcher) -> None:
    """Its exit status and its restart are reported, unless a test says that it caused them."""
    run("sleep 2; exit 3")
    wait_until(lambda: status().get("restartCount"), "it was started again")
    problems = wait_until(cluster.unexplained, "it is reported")
    assert any("/shell ended with 3" in row for row in problems)
    assert any("/shell was restarted" in row for row in problems)


def test_what_a_test_caused_is_explained(run, cluster: Watcher) -> None:
    """The same, announced, is no complaint."""
    run("sleep 1; exit 3")
    wait_until(lambda: status().get("restartCount"), "it was started again")
    wait_until(lambda: [one for one in cluster.exits() if one.container == "shell" and one.code == 3], "it is known")
    assert cluster.unexplained(ended={"shell": 3}, restarted=("shell",)) == []

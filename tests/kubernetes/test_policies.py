"""With k8s/network-policies the line works, and a pod that does not use a server does not reach it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kubernetes import deployed
from tests.kubernetes.deployed import MANIFESTS, SERVICES, STAGES
from tests.kubernetes.kubectl import NAMESPACE, get, items, kubectl, wait_until
from tests.kubernetes.uploader import CONSOLE, ask, curl, send
from tests.kubernetes.watcher import Watcher

POLICIES = MANIFESTS / "network-policies"
SERVERS = {"redis": 6379, "cache": 6379, "minio": 9000, "postgres": 5432}
WITHOUT_DATABASE = {name: port for name, port in SERVERS.items() if name != "postgres"}
BUSINESS = {"grab": SERVERS, "catalogue": SERVERS, **dict.fromkeys(STAGES, WITHOUT_DATABASE)}
SENT = 6
UNTIL_ENFORCED = 60.0
STRANGER = "stranger"
DIAL = """
import json, socket, sys
found = {}
for name, (host, port) in json.loads(sys.argv[1]).items():
    try:
        socket.create_connection((host, port), 4).close()
        found[name] = "open"
    except OSError as error:
        found[name] = f"closed: {error}"
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Place:
    """Where a pod is from which servers are dialled."""

    namespace: str
    pod: str

    def reaches(self, *, by_name: bool = False) -> set[str]:
        """The servers that answer it, dialled by their Services' addresses (a stranger may not ask for names)."""
        where = {name: (name if by_name else _address(name), port) for name, port in SERVERS.items()}
        words = ["exec", "--namespace", self.namespace, self.pod, "--", "python", "-c", DIAL, json.dumps(where)]
        return {name for name, said in json.loads(kubectl(*words)).items() if said == "open"}


def _address(service: str) -> str:
    return str(get("service", service)["spec"]["clusterIP"])


@pytest.fixture(scope="module")
def stranger(cluster: Watcher) -> Iterator[Place]:
    """A pod in the line's own namespace, of no kind that the policies know."""
    with_labels = {"app.kubernetes.io/name": STRANGER}
    yield from _pod(Place(NAMESPACE, STRANGER), with_labels)


@pytest.fixture(scope="module")
def pretender(cluster: Watcher) -> Iterator[Place]:
    """A pod in another namespace that is labelled as the API is."""
    with_labels = {"app.kubernetes.io/name": "grab", "app.kubernetes.io/component": "door"}
    yield from _pod(Place("default", "stageline-pretender"), with_labels)


def _pod(place: Place, labels: dict[str, str]) -> Iterator[Place]:
    grab = get("deployment", "grab")["spec"]["template"]["spec"]
    box = {
        "name": STRANGER,
        "image": grab["containers"][0]["image"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"],
        "securityContext": grab["containers"][0]["securityContext"],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": place.pod, "namespace": place.namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": grab["securityContext"],
            "terminationGracePeriodSeconds": 1,
            "containers": [box],
        },
    }
    where = ("--namespace", place.namespace)
    kubectl("apply", *where, "--filename", "-", stdin=json.dumps(pod))
    try:
        kubectl("wait", *where, "--for=condition=Ready", f"pod/{place.pod}", "--timeout=120s", timeout=130)
        yield place
    finally:
        kubectl("delete", *where, "pod", place.pod, "--wait=true")


@pytest.fixture(scope="module")
def without(stranger: Place, pretender: Place) -> dict[str, set[str]]:
    """What each of the two reaches while there is no policy at all."""
    assert items("networkpolicies") == [], "there are policies already"
    return {place.pod: place.reaches() for place in (stranger, pretender)}


@pytest.fixture(scope="module")
def policies(without: dict[str, set[str]], stranger: Place) -> Iterator[None]:
    """The policies, where this cluster's network heeds any; taken back afterwards."""
    _skip_where_none_is_enforced(stranger)
    kubectl("apply", "--filename", str(POLICIES))
    try:
        wait_until(lambda: not stranger.reaches(), "the policies are enforced", UNTIL_ENFORCED)
        yield
    finally:
        kubectl("delete", "--filename", str(POLICIES))


def _skip_where_none_is_enforced(stranger: Place) -> None:
    """Ask by a policy that denies a single pod everything, so that a mistake in ours is not taken for it."""
    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "is-any-enforced"},
        "spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/name": STRANGER}}, "policyTypes": ["Egress"]},
    }
    kubectl("apply", "--filename", "-", stdin=json.dumps(deny))
    try:
        wait_until(lambda: not stranger.reaches(), "a policy is enforced", UNTIL_ENFORCED)
    except AssertionError:
        pytest.skip("this cluster's network takes NetworkPolicies and enforces none")
    finally:
        kubectl("delete", "networkpolicy", "is-any-enforced")
    wait_until(lambda: stranger.reaches() == set(SERVERS), "without it all is open again", UNTIL_ENFORCED)


def test_without_policies_anyone_reaches_everything(without: dict[str, set[str]]) -> None:
    """So that what is closed below is closed by the policies, and by nothing else."""
    assert [found for found in without.values() if found != set(SERVERS)] == []


def test_a_stranger_reaches_no_server(policies: None, stranger: Place, pretender: Place) -> None:
    """Neither a pod beside the line, nor one elsewhere that bears the API's labels."""
    assert stranger.reaches() == set()
    assert pretender.reaches() == set()


@pytest.mark.parametrize("name", SERVICES)
def test_each_reaches_what_it_needs_and_nothing_else(policies: None, name: str) -> None:
    """By name, the line's own pods reach queues, cache and store; the API and the catalogue alone the database."""
    place = Place(NAMESPACE, f"deployment/{name}")
    wait_until(
        lambda: place.reaches(by_name=True) == set(BUSINESS[name]), f"{name} reaches {sorted(BUSINESS[name])}", 20
    )


def test_the_line_works(policies: None, cluster: Watcher, pictures: list[Path]) -> None:
    """All pods are started anew, so that no connection is older than the policies; then pictures go through."""
    cluster.unexplained()
    for name in SERVICES:
        kubectl("rollout", "restart", f"deployment/{name}")
    deployed.wait_ready()
    ids = []
    for picture in pictures[:SENT]:
        status, body = wait_until(lambda picture=picture: _taken(picture), "it is taken")
        ids.append(json.loads(body)["image_id"])
        assert status == 202
    wait_until(lambda: {deployed.rows().get(one) for one in ids} == {"completed"}, "all are completed", pause=2.0)
    assert cluster.unexplained() == []


def test_people_reach_the_api_and_the_console(policies: None) -> None:
    """The NodePorts answer, and the API finds all that it needs."""
    wait_until(lambda: ask("/health")["problems"] == [], "the API finds nothing amiss")
    status, body = curl(CONSOLE + "/")
    assert status == 200
    assert b"<html" in body.lower()


def _taken(picture: Path) -> tuple[int, bytes] | None:
    found = send(picture)
    return found if found[0] == 202 else None

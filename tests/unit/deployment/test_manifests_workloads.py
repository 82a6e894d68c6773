"""The house rules for whatever runs pods: what it may do, what it asks for, how it ends, which secrets it sees."""

from typing import Any

import pytest

from stageline.core.settings import Settings
from tests.support import manifests
from tests.support.manifests import (
    K8S,
    NAME,
    OURS,
    SERVERS,
    STAGES,
    Document,
    Workload,
    documents,
    quantity,
    read,
    selects,
)

WORKLOADS = manifests.workloads()
LASTING = [each for each in WORKLOADS if each.kind in ("Deployment", "StatefulSet")]
CPU_OF_A_LINE = 1.2  # cores, so that it fits a small node
SECRET_KEYS = {  # which workload sees which key of the Secret; ROOT is only MinIO's
    **{name: {"REDIS_PASSWORD", "CACHE_PASSWORD", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"} for name in STAGES},
    "redis": {"REDIS_PASSWORD"},
    "cache": {"CACHE_PASSWORD"},
    "postgres": {"DATABASE_PASSWORD"},
    "minio": {
        *("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
        "MINIO_KMS_SECRET_KEY",  # encrypts the bucket, where somebody made one
    },
    "backup-database": {"DATABASE_PASSWORD"},
    "backup-bucket": {"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"},
}
for _name in ("grab", "catalogue"):
    SECRET_KEYS[_name] = {*SECRET_KEYS["resize"], "DATABASE_PASSWORD"}

each_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda each: each.name)
each_lasting = pytest.mark.parametrize("workload", LASTING, ids=lambda each: each.name)


@pytest.mark.parametrize("name", OURS)
def test_every_service_has_what_a_service_has(name: str) -> None:
    """Its own file with a Deployment, a budget that lets one pod go at a time, an account; its name everywhere."""
    found = {document["kind"]: document for document in read(K8S / f"{name}.yaml")}
    assert {each["metadata"]["name"] for each in found.values()} == {name}
    assert set(found) == {
        "ServiceAccount",
        "PodDisruptionBudget",
        "Deployment",
        *(["Service"] if name == "grab" else []),
    }
    deployment = manifests.workload(found["Deployment"])
    assert deployment.pod["containers"][0]["name"] == name
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert selects(found["PodDisruptionBudget"]["spec"]["selector"], deployment.labels)
    spread = deployment.pod["topologySpreadConstraints"]
    assert all(selects(each["labelSelector"], deployment.labels) for each in spread)
    assert {each["topologyKey"] for each in spread} >= {"kubernetes.io/hostname"}


@each_lasting
def test_it_selects_its_own_pods(workload: Workload) -> None:
    """By its name alone: a selector cannot be changed later, and must fit no other workload's pods."""
    selector = workload.document["spec"]["selector"]
    assert selector == {"matchLabels": {NAME: workload.name}}
    assert [each.name for each in WORKLOADS if selects(selector, each.labels)] == [workload.name]
    component = {"grab": "door", "catalogue": "catalogue", **dict.fromkeys(STAGES, "stage")}.get(
        workload.name, "server"
    )
    assert workload.labels["app.kubernetes.io/component"] == component


@each_workload
def test_it_is_restricted(workload: Workload) -> None:
    """Not root, no privilege to gain, no capability, the runtime's seccomp profile, nothing of the node's, a root that
    cannot be written to."""
    of_pod = workload.pod.get("securityContext", {})
    assert not {"hostNetwork", "hostPID", "hostIPC"} & {key for key, value in workload.pod.items() if value}
    kinds = {key for volume in workload.pod.get("volumes", []) for key in volume if key != "name"}
    assert kinds <= {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    for box in workload.containers:
        found = {**of_pod, **box["securityContext"]}
        assert found["runAsNonRoot"] is True, box["name"]
        assert found["runAsUser"] > 0, box["name"]
        assert found["seccompProfile"] == {"type": "RuntimeDefault"}, box["name"]
        assert found["allowPrivilegeEscalation"] is False, box["name"]
        assert found["readOnlyRootFilesystem"] is True, box["name"]
        assert found["capabilities"] == {"drop": ["ALL"]}, box["name"]
        assert not found.get("privileged"), box["name"]
        assert not any("hostPort" in port for port in box.get("ports", []))


@each_workload
def test_it_has_an_account_and_no_token(workload: Workload) -> None:
    """An account of its own, by which a mesh knows it, and no token: nothing here talks to Kubernetes."""
    accounts = {each["metadata"]["name"]: each for each in documents("ServiceAccount")}
    assert accounts[workload.pod["serviceAccountName"]]["automountServiceAccountToken"] is False
    assert workload.pod["automountServiceAccountToken"] is False
    if workload.kind != "CronJob":
        assert workload.pod["serviceAccountName"] == workload.name


@each_workload
def test_it_says_what_it_needs(workload: Workload) -> None:
    """Each container requests CPU and memory, and may not take all memory of the node."""
    for box in workload.containers:
        resources = box["resources"]
        assert quantity(resources["requests"]["cpu"]) > 0, box["name"]
        assert 0 < quantity(resources["requests"]["memory"]) <= quantity(resources["limits"]["memory"]), box["name"]


def test_a_line_fits_a_small_node() -> None:
    """All requests of one line together, one pod of each."""
    assert sum(_cpu(workload) for workload in manifests.base()) <= CPU_OF_A_LINE


@each_lasting
def test_it_is_probed(workload: Workload) -> None:
    """Ready and alive are asked of each container that serves, at ports that it has."""
    boxes = [box for box in workload.pod["containers"] if box.get("ports")]
    assert boxes, workload.name
    for box in boxes:
        names = {port["name"] for port in box["ports"]} | {port["containerPort"] for port in box["ports"]}
        assert {"readinessProbe", "livenessProbe"} <= set(box), box["name"]
        for probe in (value for key, value in box.items() if key.endswith("Probe")):
            for way in ("httpGet", "tcpSocket"):
                assert way not in probe or probe[way]["port"] in names, f"{box['name']} has no such port: {probe}"


@each_workload
def test_it_mounts_what_it_has(workload: Workload) -> None:
    """Each mount names a volume of the pod, each volume is mounted, and what is written to has a size."""
    claims = workload.document["spec"].get("volumeClaimTemplates", [])
    volumes = {each["name"]: each for each in workload.pod.get("volumes", [])}
    there = set(volumes) | {claim["metadata"]["name"] for claim in claims}
    mounted = {mount["name"] for box in workload.containers for mount in box.get("volumeMounts", [])}
    assert mounted == there
    assert all("sizeLimit" in volume["emptyDir"] for volume in volumes.values() if "emptyDir" in volume)


def test_work_is_let_to_its_end() -> None:
    """A stage's pod is killed only after its longest work and its own winding up; the others after theirs."""
    data = {name.lower(): value for name, value in manifests.named("ConfigMap", "stageline")["data"].items()}
    found = Settings(**{name: data[name] for name in ("work_timeout", "shutdown_seconds") if name in data})
    for workload in LASTING:
        grace = workload.pod["terminationGracePeriodSeconds"]
        pause = max((_pause(box) for box in workload.containers), default=0)
        if workload.name in STAGES:
            assert grace > pause + found.work_timeout + found.shutdown_seconds, workload.name
        else:
            assert grace > pause + found.shutdown_seconds, workload.name


@each_workload
def test_it_starts_without_the_secret(workload: Workload) -> None:
    """Secrets are files, optional, and only the keys that this workload needs; none comes by the environment."""
    seen: set[str] = set()
    for source in _secrets(workload.pod):
        assert source["optional"] is True, workload.name
        assert source.get("secretName", source.get("name")) == "stageline"
        seen |= {item["key"] for item in source["items"]}
        assert all(item["key"] == item["path"] for item in source["items"])
    assert seen == SECRET_KEYS[workload.name]
    for box in workload.containers:
        assert not any("secretRef" in source for source in box.get("envFrom", []))
        assert not any("secretKeyRef" in each.get("valueFrom", {}) for each in box.get("env", []))
        for mount in box.get("volumeMounts", []):
            assert mount["mountPath"] != "/run/secrets/stageline" or mount["readOnly"] is True


def test_all_workloads_are_known() -> None:
    """What this file's rules are held against: the servers, our services, the backups."""
    assert {each.name for each in WORKLOADS} == set(SECRET_KEYS)
    assert {each.name for each in manifests.base()} == {*SERVERS, *OURS}


def _secrets(pod: Document) -> list[Document]:
    volumes = pod.get("volumes", [])
    projected = [source for volume in volumes for source in volume.get("projected", {}).get("sources", [])]
    return [each["secret"] for each in [*volumes, *projected] if "secret" in each]


def _pause(box: dict[str, Any]) -> float:
    command = box.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])
    return float(command[1])


def _cpu(workload: Workload) -> float:
    """What the scheduler reserves: the sum of the containers, or the largest init container if that is more."""
    of = [quantity(box["resources"]["requests"]["cpu"]) for box in workload.pod["containers"]]
    before = [quantity(box["resources"]["requests"]["cpu"]) for box in workload.pod.get("initContainers", [])]
    return max(sum(of), *before) if before else sum(of)

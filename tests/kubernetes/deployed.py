"""The line on the cluster: its manifests applied one by one, its Secret, its models, and when all of it is ready."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.registry.install import by_default
from stageline.store import S3Store
from tests.kubernetes.kubectl import (
    NAMESPACE,
    Refused,
    config,
    forwarded,
    get,
    items,
    kubectl,
    pods,
    secret,
    wait_until,
)
from tests.kubernetes.uploader import curl
from tests.support.places import REPOSITORY, SHARED

MANIFESTS = REPOSITORY / "k8s"
MAKES_SECRET = REPOSITORY / "scripts" / "secret.sh"
STAGES = tuple(stage.name for stage in line.LINE)
SERVICES = ("grab", *STAGES, "catalogue")
SERVERS = ("redis", "minio", "postgres")
WORKLOADS = (*SERVERS, "cache", *SERVICES)
KINDS = dict.fromkeys(WORKLOADS, "deployment") | dict.fromkeys(SERVERS, "statefulset")
NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
MADE_HERE = "stageline.test/made-here"  # a label: what carries it was made by these tests, and may be deleted by them
MIRROR = os.environ.get("STAGELINE_TEST_MIRROR") or os.environ.get("STAGELINE_MODEL_MIRROR")


def apply_each() -> list[str]:
    """Apply namespace.yaml, then each manifest by its own `kubectl apply -f`, in a shuffled order; return that."""
    names = sorted(path.stem for path in MANIFESTS.glob("*.yaml") if path.stem != "namespace")
    assert set(names) == set(WORKLOADS), f"k8s/ has {names}, and the tests know {sorted(WORKLOADS)}"
    random.shuffle(names)
    apply_namespace()
    for name in names:
        kubectl("apply", "--filename", str(MANIFESTS / f"{name}.yaml"))
    return names


def apply_namespace() -> None:
    """Apply namespace.yaml, and mark the namespace as one that may be deleted again."""
    kubectl("apply", "--filename", str(MANIFESTS / "namespace.yaml"))
    kubectl("label", "namespace", NAMESPACE, f"{MADE_HERE}=true", "--overwrite")


def namespace_labels() -> Mapping[str, str] | None:
    """The labels of the namespace, or None where it is not there."""
    found = items("namespaces", "--field-selector", f"metadata.name={NAMESPACE}")
    return found[0]["metadata"].get("labels", {}) if found else None


def delete_namespace() -> None:
    """Delete the namespace with all that is in it, if these tests made it.

    Raises:
        Refused: somebody else did.
    """
    labels = namespace_labels()
    if labels is None:
        return
    if MADE_HERE not in labels:
        raise Refused(
            f"this cluster has a namespace {NAMESPACE} that these tests did not make: they would delete it, and all"
            f" that is in it. Delete it yourself (kubectl delete namespace {NAMESPACE}), or name another cluster by"
            " KUBECONFIG"
        )
    kubectl("delete", "namespace", NAMESPACE, "--timeout=300s", timeout=320)


def make_secret() -> None:
    """Make the Secret by the one documented command.

    Raises:
        Refused: it fails.
    """
    done = subprocess.run([MAKES_SECRET], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Refused(f"{MAKES_SECRET}: {done.stderr.strip()}")


def set_secret(**values: str) -> None:
    """Change keys of the Secret."""
    stated = ", ".join(f'"{name}": "{value}"' for name, value in values.items())
    kubectl("patch", "secret", "stageline", "--patch", f'{{"stringData": {{{stated}}}}}')


def nudge() -> None:
    """Have each node look at its pods' Secrets now rather than within a minute: a change of the pod makes it."""
    kubectl("annotate", "pods", "--all", "--overwrite", f"stageline.test/nudge={random.getrandbits(32)}")


def wait_ready(names: tuple[str, ...] = WORKLOADS, timeout: float = 240.0) -> None:
    """Wait until each workload runs as its manifest says, and what it was before is gone."""
    wait_until(lambda: not not_ready(names), "all is ready", timeout, pause=1.0)


def not_ready(names: tuple[str, ...] = WORKLOADS) -> list[str]:
    """Which workloads are not as they should be yet, and why.

    Raises:
        ImportError: a pod's image is not on the node: no waiting brings it.
        AssertionError: some are not; with the reasons.
    """
    reasons = []
    for thing in items("deployments,statefulsets"):
        name, wanted, now = thing["metadata"]["name"], thing["spec"].get("replicas", 1), thing["status"]
        if name not in names:
            continue
        counts = [now.get(count, 0) for count in ("replicas", "updatedReplicas", "readyReplicas")]
        seen = now.get("observedGeneration", 0) >= thing["metadata"]["generation"]
        rolled = now.get("currentRevision") == now.get("updateRevision")
        if not (seen and rolled and counts == [wanted] * 3):
            reasons.append(f"{name}: replicas, updated, ready: {counts} of {wanted}")
    for pod in items("pods", "--selector", "app.kubernetes.io/part-of=stageline"):
        if "deletionTimestamp" in pod["metadata"]:
            reasons.append(f"{pod['metadata']['name']} is still ending")
        for container in pod["status"].get("containerStatuses", []):
            waiting = container["state"].get("waiting", {})
            if waiting.get("reason") in NO_IMAGE:
                raise ImportError(f"{container['image']} is not on the node: see docs/testing-kubernetes.md")
    assert not reasons, "; ".join(reasons)
    return reasons


def start_to_ready() -> dict[str, float]:
    """Seconds from each workload's youngest container start to its pod being ready, as the cluster reports them."""
    found = {}
    for pod in pods():
        running = [one["state"]["running"]["startedAt"] for one in pod["status"].get("containerStatuses", [])]
        ready = next(one for one in pod["status"]["conditions"] if one["type"] == "Ready")["lastTransitionTime"]
        name = pod["metadata"]["labels"]["app.kubernetes.io/name"]
        found[name] = (datetime.fromisoformat(ready) - datetime.fromisoformat(max(running))).total_seconds()
    return found


def logs(name: str, container: str | None = None, **more: Any) -> str:
    """The last lines that a workload's container logged."""
    options = [f"--{option}={value}" for option, value in more.items()]
    return kubectl("logs", f"{KINDS[name]}/{name}", "--container", container or name, "--tail=200", *options)


@contextmanager
def store_settings() -> Iterator[Settings]:
    """Settings with which this machine reaches the line's MinIO, by a port-forward, with the line's own credentials."""
    own, of_line = secret(), config()
    with forwarded("service/minio", 9000) as address:
        yield Settings(
            minio_endpoint=address,
            minio_access_key=own["MINIO_ACCESS_KEY"],
            minio_secret_key=own["MINIO_SECRET_KEY"],
            s3_bucket=of_line["S3_BUCKET"],
            models_bucket=of_line["MODELS_BUCKET"],
        )


@contextmanager
def bucket() -> Iterator[S3Store]:
    """The line's bucket, through MinIO's own API."""
    with store_settings() as found:
        yield S3Store.from_settings(found)


def publish_models() -> None:
    """Fetch the models into the line's bucket, from a mirror where one is named, as a user would."""
    own, of_line = secret(), config()
    mirror = MIRROR or (str(SHARED / "models") if SHARED.exists() else None)
    with forwarded("service/minio", 9000) as address:
        given = {
            "MINIO_ENDPOINT": address,
            "MINIO_ACCESS_KEY": own["MINIO_ACCESS_KEY"],
            "MINIO_SECRET_KEY": own["MINIO_SECRET_KEY"],
            "MODELS_BUCKET": of_line["MODELS_BUCKET"],
            **({"STAGELINE_MODEL_MIRROR": mirror} if mirror else {}),
        }
        command = [sys.executable, "-m", "stageline", "models", "fetch"]
        done = subprocess.run(command, env=os.environ | given, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"stageline models fetch: {done.stdout}{done.stderr}"
    for name in ("detect", "classify"):
        wait_until(lambda name=name: not lacks(name), f"{name} serves its models", pause=2.0)


def lacks(name: str) -> set[str]:
    """Which of the models that every line has a stage says that it misses."""
    with forwarded(f"deployment/{name}", 8080) as address:
        status, body = curl(f"http://{address}/readyz")
    assert status == 200, f"{name}: {body!r}"
    return set(json.loads(body).get("missing_models", [])) & set(by_default())


def rows() -> dict[str, str]:
    """Each picture that the catalogue knows, and its status; read by psql in PostgreSQL's own pod."""
    query = "SELECT image_key, status FROM image_info"
    user, database = "stageline", "stageline"
    words = ["psql", "--username", user, "--dbname", database, "--tuples-only", "--no-align", "--command", query]
    output = kubectl("exec", "postgres-0", "--container", "postgres", "--", *words)
    return dict(row.split("|", 1) for row in output.splitlines() if row)


def images_of(name: str) -> set[str]:
    """The images that a workload's pods run."""
    return {one["image"] for pod in pods(name) for one in pod["spec"]["containers"]}


def replicas(name: str) -> int:
    """How many pods a workload is to have."""
    return int(get(KINDS[name], name)["spec"].get("replicas", 1))

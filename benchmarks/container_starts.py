"""Measures how soon containers are ready: in a cluster, and on this machine."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import urllib3

from stageline.local.ports import HOST, free_port
from tests.support.servers import minio_server, redis_server

NAMESPACE = "stageline"
NAME = "app.kubernetes.io/name"
MAX_START_SECONDS = 300.0
POLL_SECONDS = 0.05
Pod = Mapping[str, Any]


def has_cluster() -> bool:
    """Return whether KUBECONFIG names a cluster that answers and has pods of the line."""
    try:
        return "KUBECONFIG" in os.environ and bool(pods())
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False


def pods() -> list[Pod]:
    """Return the line's long-running pods."""
    found = json.loads(_kubectl("get", "pods", "-l", "app.kubernetes.io/part-of=stageline", "-o", "json"))["items"]
    lasting = (pod for pod in found if pod["metadata"].get("ownerReferences", [{}])[0].get("kind") != "Job")
    return [pod for pod in lasting if "deletionTimestamp" not in pod["metadata"]]


def renewed() -> Iterator[tuple[str, float]]:
    """Delete one pod of each workload, one after the other; yield the seconds until its replacement was ready.

    The servers are first, and before the next goes every pod is ready again: none waits for another's start.

    Raises:
        RuntimeError: a pod was not ready in time.
    """
    servers_first = sorted(pods(), key=lambda pod: (component(pod) != "server", workload(pod)))
    for name in dict.fromkeys(map(workload, servers_first)):
        before = {pod["metadata"]["uid"] for pod in pods()}
        old = next(pod for pod in pods() if workload(pod) == name)
        _kubectl("delete", "pod", old["metadata"]["name"], "--wait=true", timeout=MAX_START_SECONDS)
        yield _replacement(name, before)
        _wait_until_all_ready()


def _replacement(name: str, before: Collection[str]) -> tuple[str, float]:
    """Return the new pod of a workload and its seconds, once it is ready."""
    deadline = time.monotonic() + MAX_START_SECONDS
    while time.monotonic() < deadline:
        for pod in pods():
            if workload(pod) == name and pod["metadata"]["uid"] not in before:
                seconds = seconds_to_ready(pod)
                if seconds is not None:
                    return str(pod["metadata"]["name"]), seconds
        time.sleep(1)
    raise RuntimeError(f"no new pod of {name} was ready within {MAX_START_SECONDS:g} s; `kubectl describe` says why")


def _wait_until_all_ready() -> None:
    deadline = time.monotonic() + MAX_START_SECONDS
    while any(seconds_to_ready(pod) is None for pod in pods()):
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"not every pod was ready within {MAX_START_SECONDS:g} s; `kubectl get pods` says which is not"
            )
        time.sleep(1)


def component(pod: Pod) -> str:
    """Return whether a pod is a server, the API, a stage or the catalogue."""
    return str(pod["metadata"]["labels"].get("app.kubernetes.io/component"))


def workload(pod: Pod) -> str:
    """Return the workload of a pod."""
    return str(pod["metadata"]["labels"][NAME])


def seconds_to_ready(pod: Pod) -> float | None:
    """Seconds from the start of the pod's first-named container until the pod was ready; None while it is not.

    Containers that run before it, or beside it, are not what it is named for.
    """
    statuses = {each["name"]: each for each in pod["status"].get("containerStatuses", ())}
    running = statuses.get(workload(pod), {}).get("state", {}).get("running")
    ready = next((each for each in pod["status"].get("conditions", ()) if each["type"] == "Ready"), None)
    if running is None or ready is None or ready["status"] != "True":
        return None
    return _at(ready["lastTransitionTime"]) - _at(running["startedAt"])


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _kubectl(*words: str, timeout: float = 30.0) -> str:
    command = ["kubectl", "--namespace", NAMESPACE, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout).stdout


def run_here(engine: str, images: Mapping[str, str], models: Path) -> Iterator[tuple[str, float]]:
    """Run each service's image beside a Redis and a MinIO; yield the seconds from its start until it is ready.

    Raises:
        RuntimeError: the engine cannot run it, or it was not ready in time.
    """
    with tempfile.TemporaryDirectory(prefix="stageline-bench-") as scratch:
        folder = Path(scratch)
        with redis_server(folder / "redis") as queue, minio_server(folder / "minio") as minio:
            keys = {"MINIO_ACCESS_KEY": minio.access_key, "MINIO_SECRET_KEY": minio.secret_key}
            settings = {"REDIS_URL": queue.url, "MINIO_ENDPOINT": minio.endpoint, **keys, "MODELS_DIR": "/models"}
            for service, image in images.items():
                yield service, _one(engine, image, settings, models)


def _one(engine: str, image: str, settings: Mapping[str, str], models: Path) -> float:
    port = str(free_port())
    options = [f"--env={name}={value}" for name, value in {**settings, "PORT": port, "HEALTH_PORT": port}.items()]
    place = ["--network", "host", "--volume", f"{models.absolute()}:/models:ro"]
    container = _said([engine, "run", "--detach", "--no-healthcheck", *place, *options, image]).split()[-1]
    try:
        ready = _when_ready(int(port), image)
        said = _said([engine, "inspect", "--type", "container", "--format", "{{json .State.StartedAt}}", container])
        return ready - _at(json.loads(said))
    finally:
        subprocess.run([engine, "rm", "--force", container], capture_output=True, check=False)


def _said(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command[:2])}` failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def _when_ready(port: int, image: str) -> float:
    http, deadline = urllib3.PoolManager(timeout=5, retries=False), time.monotonic() + MAX_START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if http.request("GET", f"http://{HOST}:{port}/readyz").status == 200:
                return time.time()
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{image} was not ready within {MAX_START_SECONDS:g} s")

"""kubectl, as a person would call it, with its answers as JSON and its refusals as errors."""

import json
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
NAMESPACE = "stageline"
TIMEOUT = 180.0  # how long something may take before it counts as never


class Refused(Exception):
    """kubectl said no."""


def kubectl(*words: str, stdin: str | None = None, timeout: float = 120.0) -> str:
    """Run kubectl in the line's namespace and return what it prints.

    Raises:
        Refused: it failed; with what it said.
    """
    command = ["kubectl", "--namespace", NAMESPACE, *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise Refused(f"kubectl {' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def get(*words: str) -> dict[str, Any]:
    """``kubectl get``, as JSON."""
    found: dict[str, Any] = json.loads(kubectl("get", *words, "--output", "json"))
    return found


def items(*words: str) -> list[dict[str, Any]]:
    """What ``kubectl get`` lists."""
    found: list[dict[str, Any]] = get(*words)["items"]
    return found


def pods(name: str | None = None) -> list[dict[str, Any]]:
    """The pods of a workload, or all of the line's, without those that are being deleted."""
    chosen = f"app.kubernetes.io/name={name}" if name else "app.kubernetes.io/part-of=stageline"
    return [pod for pod in items("pods", "--selector", chosen) if "deletionTimestamp" not in pod["metadata"]]


def secret() -> dict[str, str]:
    """The line's credentials, as anybody who may read the Secret sees them."""
    template = "{{range $name, $value := .data}}{{$name}}={{$value | base64decode}}\n{{end}}"
    output = kubectl("get", "secret", "stageline", "--output", f"go-template={template}")
    return dict(row.split("=", 1) for row in output.splitlines() if row)


def config() -> Mapping[str, str]:
    """The line's ConfigMap."""
    found: dict[str, str] = get("configmap", "stageline")["data"]
    return found


def wait_until(holds: Callable[[], T], what: str, timeout: float = TIMEOUT, pause: float = 0.5) -> T:
    """Wait until something holds; return it.

    Raises:
        AssertionError: it never did; with what was last in the way.
    """
    deadline, last = time.monotonic() + timeout, ""
    while True:
        try:
            found = holds()
            last = ""
        except (Refused, AssertionError, OSError, subprocess.TimeoutExpired) as error:
            found, last = None, f": {error}"  # type: ignore[assignment]
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"never came within {timeout:.0f} s: {what}{last}")
        time.sleep(pause)


@contextmanager
def forwarded(target: str, port: int) -> Iterator[str]:
    """``kubectl port-forward``: the address on this machine that leads to a port in the cluster.

    It leads to one pod, and ends with that pod.
    """
    words = ["kubectl", "--namespace", NAMESPACE, "port-forward", "--address", "127.0.0.1", target, f":{port}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield _address_said_by(process)
        finally:
            process.terminate()


def _address_said_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        row = process.stdout.readline() if selector.select(30) else ""
    said = re.match(r"Forwarding from (127\.0\.0\.1:\d+) ", row)
    if said is None:
        raise Refused(f"kubectl port-forward: {row.strip() or 'no answer'}")
    return said[1]

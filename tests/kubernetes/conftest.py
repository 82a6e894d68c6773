"""The line on whatever cluster KUBECONFIG names: applied once, watched, deleted at the end.

`make test-kubernetes` runs these tests; without it, or without KUBECONFIG, they are skipped, in CI too.
STAGELINE_TEST_KEEP=1 keeps the namespace at the end, and takes the one that was kept.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import deployed
from tests.kubernetes.judge import Judge
from tests.kubernetes.kubectl import Refused, kubectl
from tests.kubernetes.uploader import API, Uploader
from tests.kubernetes.watcher import Watcher
from tests.support.places import REPOSITORY, SHARED

HERE = Path(__file__).parent
KEEP = os.environ.get("STAGELINE_TEST_KEEP") == "1"
REPORT: list[str] = []
"""What is measured and not judged: printed at the end."""


def why_not() -> str | None:
    """Why these tests cannot run here, if they cannot."""
    if os.environ.get("STAGELINE_TEST_KUBERNETES") != "1":
        return "these change a cluster: make test-kubernetes runs them"
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster: see docs/testing-kubernetes.md"
    if shutil.which("kubectl") is None:
        return "no kubectl on the PATH"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip them all where they cannot run, with the reason."""
    reason = why_not()
    for item in items:
        if reason and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    if REPORT:
        terminalreporter.section("the line on the cluster")
        terminalreporter.write_line("\n".join(REPORT))


@pytest.fixture(scope="session")
def report() -> list[str]:
    """Lines to be printed at the end."""
    return REPORT


@pytest.fixture(scope="session")
def cluster(report: list[str]) -> Iterator[Watcher]:
    """The line, applied manifest by manifest, all of it ready, its models published; and the watcher of its pods."""
    try:
        kept = KEEP and deployed.MADE_HERE in (deployed.namespace_labels() or {})
        if not kept:
            deployed.delete_namespace()
    except Refused as error:
        pytest.exit(str(error), returncode=2)
    watcher = Watcher()
    watcher.start()
    try:
        _put_up(report, make=not kept)
        yield watcher
    finally:
        report.extend(f"ended: {one}" for one in watcher.exits() if one.code)
        watcher.stop()
        if not KEEP:
            deployed.delete_namespace()


def _put_up(report: list[str], *, make: bool) -> None:
    if make:
        deployed.apply_namespace()
        deployed.make_secret()
    report.append(f"applied in this order: {' '.join(deployed.apply_each())}")
    deployed.wait_ready()
    seconds = deployed.start_to_ready()
    times = ", ".join(f"{name} {took:.0f}" for name, took in sorted(seconds.items()))
    report.append(f"seconds from a container's start to its pod being ready: {times}")
    deployed.publish_models()


@pytest.fixture(scope="session")
def pictures() -> list[Path]:
    """Pictures to send: of STAGELINE_TEST_DATA's coco128/, else the samples."""
    folder = Path(os.environ.get("STAGELINE_TEST_DATA", SHARED / "data")) / "coco128" / "images"
    found = sorted(folder.glob("*.jpg")) or sorted((REPOSITORY / "samples").glob("*.*"))
    if not found:
        pytest.fail(f"no pictures to send, at {folder} or in samples/: make samples")
    return found


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what a browser shows is kept, for a person to look at: STAGELINE_TEST_SCREENSHOTS."""
    named = os.environ.get("STAGELINE_TEST_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def uploader(cluster: Watcher, pictures: list[Path], report: list[str]) -> Iterator[Uploader]:
    """A client that sends a picture every now and then, for as long as a module's tests run."""
    sending = Uploader(pictures)
    sending.start()
    yield sending
    sending.stop()
    report.append(f"to {API}: {len(sending.accepted)} pictures accepted, {sending.retried} tries were not answered")


@pytest.fixture(scope="module")
def judge(cluster: Watcher, uploader: Uploader) -> Judge:
    """The judge, which checks after each disturbance whether all is well."""
    cluster.unexplained()  # what was before is not this module's
    return Judge(uploader, cluster)


@pytest.fixture(scope="session")
def nodes(cluster: Watcher) -> list[str]:
    """The nodes that the line's pods are on."""
    return sorted({pod["spec"]["nodeName"] for pod in deployed.pods()})


@pytest.fixture
def uncordoned(nodes: list[str]) -> Iterator[None]:
    """Whatever a test did to nodes, they take pods again afterwards."""
    yield
    for node in nodes:
        kubectl("uncordon", node)

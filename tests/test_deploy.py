"""The scripts that put the line on a cluster and take it off: what they refuse, and that nothing changes then."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stageline import __version__
from stageline.line import CATALOGUE_PACKAGE, DOOR_PACKAGE, LINE
from stageline.ports import free_port
from tests.conftest import REPOSITORY, missing

TOOLS = ("bash", "sed", "dirname", "basename", "cat", "mktemp", "realpath", "python3", "grep", "cut", "env")


def run(script: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of scripts/, with that environment added."""
    return subprocess.run(
        [shutil.which("bash") or "bash", f"scripts/{script}", *arguments],
        cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with a system's tools, and neither kubectl nor a container engine."""
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / tool).symlink_to(found)
    return str(tmp_path)


@pytest.fixture
def no_cluster(tmp_path: Path) -> str:
    """A KUBECONFIG whose cluster does not answer."""
    if shutil.which("kubectl") is None:
        missing("no kubectl on the PATH")
    config = tmp_path / "kubeconfig"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n"
        f"clusters: [{{name: nowhere, cluster: {{server: 'https://127.0.0.1:{free_port()}'}}}}]\n"
        "contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]\nusers: [{name: nobody, user: {}}]\n"
    )
    return str(config)


@pytest.mark.parametrize("script", ["deploy.sh", "cleanup.sh"])
def test_without_kubectl_it_says_so(script: str, bare_path: str) -> None:
    done = run(script, PATH=bare_path)
    assert done.returncode == 2
    assert "kubectl is not on the PATH" in done.stderr
    assert "nothing was changed" in done.stderr


@pytest.mark.parametrize("command", [["deploy.sh", "--build"], ["cleanup.sh", "--data"]])
def test_without_a_cluster_it_says_so_before_it_builds(command: list[str], no_cluster: str) -> None:
    done = run(*command, KUBECONFIG=no_cluster)
    assert done.returncode == 2
    assert "no cluster answers (kubectl's context: nowhere); nothing was changed" in done.stderr
    assert done.stdout == ""


def test_words_that_it_does_not_know_are_explained() -> None:
    for script in ("deploy.sh", "cleanup.sh", "images.sh"):
        done = run(script, "--nonsense")
        assert done.returncode == 2, script
        assert f"scripts/{script}" in done.stdout


def test_an_overlay_that_is_not_there_is_said() -> None:
    assert "there is no such folder" in run("deploy.sh", "--overlay", "k8s/nowhere").stderr


def test_images_are_those_of_the_line() -> None:
    services = {stage.package for stage in LINE} | {DOOR_PACKAGE, CATALOGUE_PACKAGE}
    names = {f"docker.io/stageline/{package.removesuffix('_service')}:{__version__}" for package in services}
    assert set(run("images.sh", "list", TAG="", GPU="").stdout.split()) == names
    gpu = set(run("images.sh", "list", TAG="7", GPU="1").stdout.split())
    assert {"docker.io/stageline/detect:7-gpu", "docker.io/stageline/classify:7-gpu"} < gpu


def test_images_need_an_engine(bare_path: str) -> None:
    done = run("images.sh", "build", PATH=bare_path)
    assert done.returncode == 2
    assert "docker" in done.stderr
    assert "CONTAINER_ENGINE" in done.stderr


def test_images_are_pushed_to_a_registry_that_was_named() -> None:
    done = run("images.sh", "push")
    assert done.returncode == 2
    assert "make push REGISTRY=" in done.stderr

"""The scripts that put the line on a cluster and take it off: what they refuse, and that nothing changes then."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stageline import __version__
from stageline.pipeline.line import API_PACKAGE, CATALOGUE_PACKAGE, LINE
from tests.support import manifests
from tests.support.places import REPOSITORY, missing

TOOLS = ("bash", "sed", "dirname", "basename", "cat", "mktemp", "realpath", "python3", "grep", "cut", "env", "sort",
         "head")  # fmt: skip
FAKE_KUBECTL = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/asked"
case "$*" in
  "version --client -o json") printf '{"clientVersion": {\\n  "gitVersion": "%s"\\n}}' "$(cat "$here/version")" ;;
  "get --raw /version"*) echo '{}' ;;
  "config current-context") echo made-up ;;
  "kustomize "*) shift && exec kustomize build "$@" ;;
  *" get secret stageline") [ -e "$here/secret" ] ;;
  *" create secret "*) cat >"$here/secret" ;;
  "apply "*" -f -") cat >"$here/applied" ;;
esac
"""


def run(script: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of scripts/, with that environment added."""
    return subprocess.run(
        [shutil.which("bash") or "bash", f"scripts/{script}", *arguments],
        cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True, text=True, timeout=180,
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


class FakeKubectl:
    """A kubectl whose cluster takes everything: it keeps what it was asked and given."""

    def __init__(self, folder: Path, version: str = "v1.34.2") -> None:
        self._folder = folder
        self.path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        (folder / "version").write_text(version)
        (folder / "kubectl").write_text(FAKE_KUBECTL)
        (folder / "kubectl").chmod(0o755)

    def asked(self) -> list[str]:
        """Its command lines."""
        return (self._folder / "asked").read_text().splitlines()

    def applied(self) -> list[dict[str, Any]]:
        """The documents that it was given to apply."""
        return manifests.parse((self._folder / "applied").read_text())

    def secret(self) -> dict[str, str]:
        """The Secret that it was given to make."""
        return dict(row.split("=", 1) for row in (self._folder / "secret").read_text().splitlines())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    """A kubectl that is new enough; of the Secret's keys none is set, those of the settings neither."""
    for name in ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return FakeKubectl(tmp_path)


@pytest.fixture
def deploying(fake: FakeKubectl) -> FakeKubectl:
    """A kubectl that also renders, by the real Kustomize."""
    if shutil.which("kustomize") is None:
        missing("no kustomize on the PATH: `make servers` installs it")
    return fake


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


@pytest.mark.parametrize("version", ["v1.20.2", "v1.26.15+k3s1", "v1.9.0", ""])
def test_an_old_kubectl_is_refused_before_anything_is_done(tmp_path: Path, bare_path: str, version: str) -> None:
    """Debian 12's, for one, whose Kustomize knows no `patches` with a target."""
    old = FakeKubectl(tmp_path, version)
    done = run("deploy.sh", "--build", PATH=bare_path)
    assert done.returncode == 2
    assert f"kubectl is {version.lstrip('v').split('+')[0] or 'of an unknown version'}, " in done.stderr
    assert "install 1.27 or newer; nothing was changed" in done.stderr
    assert [asked.split()[0] for asked in old.asked()] == ["get", "version"]


@pytest.mark.parametrize("version", ["v1.27.0", "v1.32.4-dispatcher", "v1.34.1+k3s1", "v2.0.0"])
def test_a_newer_kubectl_is_taken(tmp_path: Path, deploying: FakeKubectl, version: str) -> None:
    """Whichever tool built it."""
    (tmp_path / "version").write_text(version)
    done = run("deploy.sh", PATH=deploying.path)
    assert done.returncode == 0, done.stderr
    assert "deploying to made-up" in done.stdout


def test_a_folder_is_added_with_its_images_from_the_registry(deploying: FakeKubectl) -> None:
    """The nightly copy of the buckets takes its script from the image that was pushed, beside a whole line."""
    done = run("deploy.sh", "--with", "k8s/backup", "--registry", "r.example/t", PATH=deploying.path)
    assert done.returncode == 0, done.stderr
    applied = manifests.workloads(deploying.applied())
    images = {each.name: each.pod["containers"][0]["image"] for each in applied}
    assert set(images) == {each.name for each in manifests.base()} | {"backup-bucket", "backup-database"}
    (backup,) = [each.pod for each in applied if each.name == "backup-bucket"]
    assert backup["initContainers"][0]["image"] == f"r.example/t/stageline-catalogue:{__version__}"
    assert images["backup-bucket"].startswith("docker.io/rclone/rclone:")
    assert images["detect"] == f"r.example/t/stageline-detect:{__version__}"
    assert not any(image.startswith("docker.io/stageline/") for image in images.values())


def test_without_more_words_the_line_is_applied_as_it_is(deploying: FakeKubectl) -> None:
    """And a Secret is made only where there is none."""
    for _ in range(2):
        assert run("deploy.sh", PATH=deploying.path).returncode == 0
    images = {each.name: each.pod["containers"][0]["image"] for each in manifests.workloads(deploying.applied())}
    assert images == {each.name: each.pod["containers"][0]["image"] for each in manifests.base()}
    assert sum(" create secret " in each for each in deploying.asked()) == 1
    assert "apply -l app.kubernetes.io/name notin () -f -" in deploying.asked()


@pytest.mark.parametrize(("left_out", "names"), [(["minio"], "minio"), (["minio", "postgres"], "minio,postgres")])
def test_a_service_is_left_out_by_its_label(deploying: FakeKubectl, left_out: list[str], names: str) -> None:
    """All that bears its name stays away: kubectl takes what the selector lets through."""
    words = [word for name in left_out for word in ("--without", name)]
    done = run("deploy.sh", *words, PATH=deploying.path)
    assert done.returncode == 0, done.stderr
    assert f"apply -l app.kubernetes.io/name notin ({names}) -f -" in deploying.asked()


def test_the_secret_is_random_and_on_no_command_line(fake: FakeKubectl) -> None:
    """A list of the machine's processes shows no password."""
    given = dict.fromkeys(("REDIS_PASSWORD", "MINIO_ROOT_USER"), "that-is-given")
    done = run("secret.sh", PATH=fake.path, **given)
    assert done.returncode == 0, done.stderr
    made = fake.secret()
    assert {name: made[name] for name in given} == given
    drawn = [value for name, value in made.items() if name.endswith(("PASSWORD", "SECRET_KEY")) and name not in given]
    assert len(set(drawn)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in drawn)
    (asked,) = fake.asked()
    assert not [name for name, value in made.items() if name != "MINIO_ACCESS_KEY" and value in asked]


@pytest.mark.parametrize("keys", [("AKIAOWN", "its.secret-key_~"), ("", "")])
def test_the_keys_of_another_store_are_taken_also_when_empty(fake: FakeKubectl, keys: tuple[str, str]) -> None:
    """Both empty stand for the pod's own role."""
    done = run("secret.sh", PATH=fake.path, MINIO_ACCESS_KEY=keys[0], MINIO_SECRET_KEY=keys[1])
    assert done.returncode == 0, done.stderr
    assert (fake.secret()["MINIO_ACCESS_KEY"], fake.secret()["MINIO_SECRET_KEY"]) == keys
    assert not keys[1] or keys[1] not in "\n".join(fake.asked())


def test_words_that_it_does_not_know_are_explained() -> None:
    for script in ("deploy.sh", "cleanup.sh", "images.sh"):
        done = run(script, "--nonsense")
        assert done.returncode == 2, script
        assert f"scripts/{script}" in done.stdout


def test_an_overlay_that_is_not_there_is_said() -> None:
    assert "there is no such folder" in run("deploy.sh", "--overlay", "k8s/nowhere").stderr


def test_images_are_those_of_the_line() -> None:
    services = {stage.package for stage in LINE} | {API_PACKAGE, CATALOGUE_PACKAGE}
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

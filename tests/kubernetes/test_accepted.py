"""The cluster's own server takes every manifest and every overlay as it stands, and has nothing to warn of."""

import subprocess
from pathlib import Path

import pytest

from tests.kubernetes.deployed import MANIFESTS
from tests.kubernetes.kubectl import Refused, kubectl
from tests.kubernetes.watcher import Watcher
from tests.support.manifests import OVERLAYS

FOLDERS = [MANIFESTS, *sorted(path for path in MANIFESTS.iterdir() if path.is_dir())]
DEFINED_BY = {
    "autoscaling-keda": ("KEDA", "scaledobjects.keda.sh"),
    "istio": ("Istio", "authorizationpolicies.security.istio.io"),
}


def apply_dry(option: str, folder: Path) -> str:
    """Have the server check what `kubectl apply` would send, unknown fields refused; return what it warns of."""
    words = ["kubectl", "apply", "--dry-run=server", "--validate=strict", option, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") > 0
    return done.stderr


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_server_takes_a_folder(folder: Path, cluster: Watcher) -> None:
    """By `kubectl apply -f`; custom resources against their definitions, where the cluster has those."""
    who, definition = DEFINED_BY.get(folder.name, ("", ""))
    if definition:
        try:
            kubectl("get", "customresourcedefinition", definition)
        except Refused:
            pytest.skip(f"this cluster does not know {who}'s kinds")
    assert apply_dry("--filename", folder) == ""


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_the_server_takes_an_overlay(overlay: Path, cluster: Watcher) -> None:
    """By `kubectl apply -k`."""
    assert apply_dry("--kustomize", overlay) == ""


def test_the_server_warns_of_a_pod_that_may_too_much(cluster: Watcher, tmp_path: Path) -> None:
    """So that no warning above means something: the same API, able to gain privileges, is warned of."""
    manifest = (MANIFESTS / "grab.yaml").read_text()
    bad = tmp_path / "grab.yaml"
    bad.write_text(manifest.replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"))
    assert "would violate PodSecurity" in apply_dry("--filename", bad)

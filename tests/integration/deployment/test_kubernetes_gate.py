"""The tests on a cluster run when they are asked for, and never by accident."""

import os
import subprocess
import sys

import pytest

from tests.support.places import REPOSITORY

ASKED_FOR = {"STAGELINE_TEST_KUBERNETES": "1"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"KUBECONFIG": "there/but/not/asked/for"}, "make test-kubernetes"),
        (ASKED_FOR, "KUBECONFIG names no cluster"),
        (ASKED_FOR | {"CI": "true"}, "KUBECONFIG names no cluster"),
    ],
)
def test_without_being_asked_or_without_a_cluster_all_are_skipped(given: dict[str, str], reason: str) -> None:
    """`make test` on a machine with a cluster changes nothing on it; without one there is a reason, in CI too."""
    said = run(given)
    assert said.returncode == 0, said.stdout
    assert reason in said.stdout
    assert " skipped" in said.stdout
    assert not any(word in said.stdout for word in (" passed", " failed", " error"))


def test_a_cluster_that_cannot_be_reached_is_no_reason_to_skip(no_cluster: str) -> None:
    """Asking for them with a named cluster fails if that cluster is not there."""
    said = run(ASKED_FOR | {"KUBECONFIG": no_cluster})
    assert said.returncode != 0
    assert "skipped" not in said.stdout


def run(given: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the cluster's tests as pytest would, with this in the environment and no other cluster."""
    kept = {name: value for name, value in os.environ.items() if name not in {*ASKED_FOR, "KUBECONFIG", "CI"}}
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x", "tests/kubernetes"]
    return subprocess.run(
        words, cwd=REPOSITORY, env=kept | given, capture_output=True, text=True, timeout=300, check=False
    )

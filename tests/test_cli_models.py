"""`stageline models`: list, fetch, publish, promote, rollback, verify, each with a sentence for what is no good."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.running_line import KEPT
from stageline.modelstore import Model, Repository
from stageline.modelstore.card import CARD, written
from stageline.stage import StoredObject
from stageline.store import FolderStore
from tests.tiny_models import colours

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repository(tmp_path) -> Repository:
    """Give the model store of the commands, empty."""
    return Repository(FolderStore(tmp_path / "models"))


@pytest.fixture
def models(tmp_path, repository) -> Run:
    """Run `stageline models …` on that store, far from any network."""

    def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name in KEPT}
        own = {"MODELS_DIR": str(tmp_path / "models"), "https_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}
        return subprocess.run(
            [sys.executable, "-m", "stageline", "models", *map(str, words)],
            env={**kept, **own, **environment}, capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        )  # fmt: skip

    return run


def folder_of(model: Model, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(model.network)
    (folder / CARD).write_bytes(written(model.card))
    return folder


def test_a_model_of_ones_own_is_published_served_and_rolled_back(models, repository, tmp_path) -> None:
    """Each step says what is current, and the list shows it."""
    for version in ("1", "2"):
        done = models("publish", folder_of(colours(version, float(version)), tmp_path / version), "--promote")
        assert done.returncode == 0, done.stderr
        assert f"colours@{version} is current" in done.stdout
    (row,) = [row for row in json.loads(models("list", "--json").stdout) if row["name"] == "colours"]
    assert (row["current"], row["previous"], row["published"]) == ("2", "1", ["1", "2"])
    assert "colours@1 is current again, 2 was before" in models("rollback", "colours").stdout
    assert repository.pointer("colours").version == "1"
    assert "colours@2 is current, 1 was before" in models("promote", "colours@2").stdout
    assert "colours@2" in models("verify", "colours").stdout


def test_what_was_published_stays_as_it_is(models, tmp_path) -> None:
    """Another network under the same version: exit status 1, a sentence, and the first stays."""
    assert models("publish", folder_of(colours(), tmp_path / "a")).returncode == 0
    done = models("publish", folder_of(colours(scale=2.0), tmp_path / "b"))
    assert (done.returncode, "give yours a new version" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("promote", "colours@9"), "colours@9 is not published"),
        (("promote", "colours"), "name a version, as in colours@1"),
        (("rollback", "colours"), "no version before"),
        (("verify", "colours"), "no version of colours is published"),
        (("fetch", "oracle"), "no model is called 'oracle'; there are yolox-nano"),
        (("publish", "nowhere"), "cannot be read"),
    ],
)
def test_what_is_not_there_is_said(words, says, models) -> None:
    """Exit status 1, a sentence, no traceback."""
    done = models(*words)
    assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr


def test_verify_finds_what_is_damaged(models, repository, tmp_path) -> None:
    """A file that was changed in the store: named, with exit status 1; the sound one is listed all the same."""
    for version in ("1", "2"):
        repository.publish(colours(version))
    FolderStore(tmp_path / "models").put(StoredObject("colours/2/model.onnx", b"x", "application/octet-stream"))
    done = models("verify")
    assert (done.returncode, "colours@1" in done.stdout) == (1, True)
    assert "colours/2/model.onnx is not the file of its card" in done.stderr


def test_a_network_that_is_not_what_its_card_says_is_not_published(models, repository, tmp_path) -> None:
    """Two outputs for three labels; bytes that are no network; a pickle: nothing is stored."""
    wrong = [colours(outputs=2)]
    for number, model in enumerate(wrong):
        done = models("publish", folder_of(model, tmp_path / str(number)))
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    for number, data in enumerate((b"", b"no network", b"\x80\x04\x95pickle")):
        folder = folder_of(colours(), tmp_path / f"bytes-{number}")
        (folder / "model.onnx").write_bytes(data)
        card = json.loads((folder / CARD).read_text())
        (folder / CARD).write_text(
            json.dumps({key: value for key, value in card.items() if "sha256" not in key and key != "files"})
        )
        done = models("publish", folder)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert repository.versions() == {}


def test_fetch_publishes_what_this_package_carries_and_says_what_cannot_be_had(models, repository) -> None:
    """With no network the networks trained here are published and served; for the others each place is named."""
    done = models("fetch")
    assert done.returncode == 1
    assert repository.pointer("resnet18-cifar10").version == "1"
    assert repository.pointer("squeezenet-cifar10").version == "2"
    assert "yolox-nano cannot be had" in done.stderr
    assert "STAGELINE_MODEL_MIRROR" in done.stderr
    assert "Traceback" not in done.stderr


def test_fetch_does_not_move_what_somebody_promoted(models, repository) -> None:
    """A version of one's own stays current; the command says how to change that."""
    repository.publish(colours("mine", name="squeezenet-cifar10"))
    repository.promote("squeezenet-cifar10", "mine")
    done = models("fetch", "squeezenet-cifar10")
    assert (done.returncode, repository.pointer("squeezenet-cifar10").version) == (0, "mine")
    assert "stageline models promote squeezenet-cifar10@2" in done.stderr


def test_a_model_store_that_is_away_says_so(models) -> None:
    """Exit status 3, as for any server."""
    done = models("list", MODELS_DIR="", MINIO_ENDPOINT="127.0.0.1:9", MINIO_ACCESS_KEY="a", MINIO_SECRET_KEY="b")
    assert (done.returncode, "MINIO_ENDPOINT" in done.stderr) == (3, True)

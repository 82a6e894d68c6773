"""`stageline models`: list, fetch, publish, promote, rollback, verify, each with a sentence for what is no good."""

import json
import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from stageline.registry.card import CARD, ModelFiles, written
from stageline.registry.repository import Repository
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support import commands
from tests.support.places import missing
from tests.support.tiny_models import colours

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repository(tmp_path) -> Repository:
    """Give the model store of the commands, empty."""
    return Repository(FolderStore(tmp_path / "models"))


@pytest.fixture
def models(tmp_path, repository) -> Run:
    """Run `stageline models …` on that store, far from any network."""

    def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"MODELS_DIR": str(tmp_path / "models"), "https_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}
        return commands.stageline(tmp_path, "models", *words, **{**own, **environment})

    return run


def folder_of(model: ModelFiles, folder: Path) -> Path:
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
    assert repository.pointer("resnet18-cifar10").version == "2"
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


@pytest.mark.parametrize(
    ("size", "says"),
    [
        (111_898_327, r"names \(sha256\);"),
        (111_898_326, "111898326 bytes instead of 111898327"),
        (0, "0 bytes instead"),
    ],
    ids=["as long", "a byte short", "empty"],
)
def test_other_weights_than_facenets_are_refused(models, repository, tmp_path, size, says) -> None:
    """By the documented command, against the manifest's own size and checksum: a sentence, and nothing is published."""
    if find_spec("torch") is None:
        missing("no torch, which converts FaceNet's weights (`make test TRAIN=1`)")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with (mirror / "20180402-114759-vggface2.pt").open("wb") as file:
        file.truncate(size)
    done = models("fetch", "facenet-vggface2", STAGELINE_MODEL_MIRROR=str(mirror), STAGELINE_DATA=str(tmp_path))
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert re.search(f"another file than the manifest .*{says}", said), said
    assert "folder that has 20180402-114759-vggface2.pt" in said
    assert repository.versions() == {}

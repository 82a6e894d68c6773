"""The model store: versions that never change, a pointer that does, and nothing taken on trust."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stageline.core.errors import ModelError
from stageline.registry.card import CARD, written
from stageline.registry.repository import Repository
from stageline.store.base import StoredObject
from tests.support.tiny_models import colour_network, colours


@pytest.fixture
def repository(store) -> Repository:
    """Give a model store, once in a folder and once in MinIO."""
    return Repository(store)


def put(store, key: str, data: bytes) -> None:
    store.put(StoredObject(key, data, "application/octet-stream"))


def test_what_is_published_is_read_back_as_it_was(repository) -> None:
    """A version comes back with its card and its bytes, and is listed; nothing is current before it is promoted."""
    model = colours()
    repository.publish(model)
    assert repository.load("colours", "1") == model
    assert repository.versions() == {"colours": ["1"]}
    assert repository.pointer("colours") is None


def test_a_published_version_never_changes(repository) -> None:
    """The same again is no error; another network under the same version is refused, and the first stays."""
    repository.publish(colours())
    repository.publish(colours())
    with pytest.raises(ModelError, match=r"colours@1 is published already.*new version"):
        repository.publish(colours(scale=2.0))
    assert repository.load("colours", "1") == colours()


def test_a_published_card_never_changes_either(repository) -> None:
    """The same network under the same version with other labels is refused, and not reported as installed."""
    repository.publish(colours())
    with pytest.raises(ModelError, match=r"colours@1 is published already, with another card"):
        repository.publish(colours(labels=["a", "b", "c"]))


def test_the_pointer_moves_forth_and_back(repository) -> None:
    """Promoting remembers the version before; rolling back twice is where one was."""
    for version in ("1", "2"):
        repository.publish(colours(version))
        repository.promote("colours", version)
    assert (repository.pointer("colours").version, repository.pointer("colours").previous) == ("2", "1")
    repository.promote("colours", "2")
    assert repository.pointer("colours").previous == "1"
    assert (repository.rollback("colours").version, repository.rollback("colours").version) == ("1", "2")


def test_there_is_nothing_to_roll_back_to_at_first(repository) -> None:
    """The sentence says how to choose a version."""
    with pytest.raises(ModelError, match="no version before: stageline models promote"):
        repository.rollback("colours")


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"version": "../1"}', b'{"previous": "1"}', b"\xff\xfe", b" " * 2**21]
)
def test_a_damaged_pointer_is_refused_and_mended_by_promoting(damage, repository, store) -> None:
    """What is no pointer names nothing."""
    repository.publish(colours())
    put(store, "colours/current", damage)
    with pytest.raises(ModelError, match=r"colours/current is damaged .*: stageline models promote colours@VERSION"):
        repository.pointer("colours")
    repository.promote("colours", "1")
    assert repository.pointer("colours").version == "1"


def test_a_version_without_its_card_is_not_there(repository, store) -> None:
    """The card comes last: a network alone is a version on its way."""
    put(store, "colours/1/model.onnx", colour_network())
    assert repository.versions() == {}
    with pytest.raises(ModelError, match="colours@1 is not published"):
        repository.load("colours", "1")


def test_a_card_without_its_network_is_not_whole(repository, store) -> None:
    """A card that another program uploaded first is refused until its file is there."""
    put(store, f"colours/1/{CARD}", written(colours().card))
    with pytest.raises(ModelError, match=r"colours@1 is not whole: colours/1/model.onnx is not there"):
        repository.load("colours", "1")


def test_another_file_than_the_card_names_is_refused_and_mended_by_publishing(repository, store) -> None:
    """One bit is enough; to publish the very same version again puts it right."""
    repository.publish(colours())
    put(store, "colours/1/model.onnx", colour_network(scale=3.0))
    with pytest.raises(ModelError, match=r"colours/1/model.onnx is not the file of its card: sha256"):
        repository.load("colours", "1")
    repository.publish(colours())
    assert repository.load("colours", "1") == colours()


def change(path: str, value: Any) -> Callable[[dict], None]:
    """Set one field, of a part of the card where the path has a dot."""

    def apply(fields: dict) -> None:
        *parts, last = path.split(".")
        for part in parts:
            fields = fields[part]
        fields[last] = value

    return apply


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Colours"), ("name", "../up"), ("name", ""), ("version", "a/b"), ("version", ".."),
        ("task", "divination"), ("labels", []), ("labels", "red"), ("sha256", "0" * 64), ("sha256", "x"),
        ("files", {}), ("files", {"../model.onnx": "0" * 64}), ("files", {"/etc/passwd": "0" * 64}),
        ("files", {"model.onnx": "short"}), ("files", {"model.pkl": "0" * 64}), ("input", None),
        ("input.shape", []), ("input.shape", [0, 3, 32, 32]), ("input.shape", ["batch", 3, 32, 10**9]),
        ("input.dtype", "float64"), ("input.layout", "CHW"), ("input.colour", "CMYK"), ("input.range", [0]),
        ("input.std", [1, 1]), ("input.std", [0, 1, 1]), ("input.range", [1, 1]), ("title", None), ("licence", 3),
        ("cpu_runtime", "abacus"), ("files", {f"n{n}.onnx": "0" * 64 for n in range(9)}),
        ("accuracy", [{"metric": "top-1"}]), ("preprocessing", {"fit": "pull"}),
    ],
)  # fmt: skip
def test_a_card_that_does_not_validate_is_refused_with_its_field(field, value, repository, store) -> None:
    """Each is a sentence that names the field; no path leaves the version's folder."""
    fields = json.loads(written(colours().card))
    change(field, value)(fields)
    put(store, f"colours/1/{CARD}", json.dumps(fields).encode())
    with pytest.raises(ModelError, match=rf"the card of colours@1 is refused: .*{field.split('.')[0]}"):
        repository.load("colours", "1")


@pytest.mark.parametrize(
    "data", [b"", b"nothing", b"[1]", b"null", b"\x80\x02}", b"[" * 100_000, b" " * (1 << 20) + b" {}"]
)
def test_what_is_no_card_is_refused(data, repository, store) -> None:
    """Not JSON, not an object, a pickle, deep, long: a sentence each."""
    put(store, f"colours/1/{CARD}", data)
    with pytest.raises(ModelError, match="the card of colours@1 "):
        repository.card("colours", "1")

"""Hot swap: what is current is served; what is no good is refused, and the old one goes on."""

from collections.abc import Callable

import pytest

from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.registry import serving
from stageline.registry.card import CARD, written
from stageline.registry.repository import Repository
from stageline.registry.serving import Served
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.moody_store import Moody
from tests.support.tiny_models import colour_network, colours

SETTINGS = Settings()


@pytest.fixture
def store(tmp_path) -> FolderStore:
    """Give an empty folder as the bucket."""
    return FolderStore(tmp_path / "models")


@pytest.fixture
def repository(store) -> Repository:
    """Give a store with colours 1 and 2, of which 1 is current."""
    found = Repository(store)
    for version in ("1", "2"):
        found.publish(colours(version, scale=float(version)))
    found.promote("colours", "1")
    return found


@pytest.fixture
def serve(repository) -> Callable[..., tuple[Served, Moody]]:
    """Make a served model that has looked once, and its loader."""

    def make(**moods: Exception) -> tuple[Served, Moody]:
        loader = Moody(**moods)
        served: Served[str] = Served("colours", loader, SETTINGS)
        served.update(repository)
        return served, loader

    return make


def test_what_is_current_is_served_and_loaded_once(serve, repository) -> None:
    """Looking again and again loads nothing again."""
    served, loader = serve()
    served.update(repository)
    assert (served.now().value, served.now().card.reference, served.refused) == ("loaded 1", "colours@1", None)
    assert loader.loads == ["1"]


def test_a_new_version_is_taken_up_and_rolled_back(serve, repository) -> None:
    """A batch that took the old one keeps it; the next takes the new."""
    served, _ = serve()
    batch = served.now()
    repository.promote("colours", "2")
    served.update(repository)
    assert (batch.value, served.now().value) == ("loaded 1", "loaded 2")
    repository.rollback("colours")
    served.update(repository)
    assert served.now().card.version == "1"


@pytest.mark.parametrize("mood", [ModelError("of the wrong shape"), ValueError("a library's"), MemoryError()])
def test_a_version_that_does_not_load_is_refused_and_the_old_one_goes_on(mood, serve, repository) -> None:
    """Whatever its loading raises becomes a reason, and ends nothing."""
    served, _ = serve(v2=mood)
    repository.promote("colours", "2")
    served.update(repository)
    assert served.now().value == "loaded 1"
    assert str(mood) in served.refused
    repository.rollback("colours")
    served.update(repository)
    assert served.refused is None


def test_a_worker_that_starts_fresh_falls_back_to_the_version_before(serve, repository) -> None:
    """It serves the one before, and still says why the current one is refused."""
    repository.promote("colours", "2")
    served, _ = serve(v2=ModelError("of the wrong shape"))
    assert served.now().value == "loaded 1"
    assert "of the wrong shape" in served.refused


def test_a_model_that_comes_piece_by_piece_is_taken_up_when_it_is_whole(serve, repository, store, monkeypatch) -> None:
    """The pointer first, then the card, then half a file, then all of it: the old one serves until the last."""
    monkeypatch.setattr(serving, "LOOK_SECONDS", 0.0)
    served, _ = serve()
    third, network = colours("3", scale=3.0), colour_network(3.0)
    pieces = [
        ("colours/current", b'{"version": "3", "previous": "1"}'),
        (f"colours/3/{CARD}", written(third.card)),
        ("colours/3/model.onnx", network[: len(network) // 2]),
    ]
    for key, data in pieces:
        store.put(StoredObject(key, data, "application/octet-stream"))
        served.update(repository)
        assert (served.now().value, served.refused is None) == ("loaded 1", False), key
    store.put(StoredObject("colours/3/model.onnx", network, "application/octet-stream"))
    served.update(repository)
    assert (served.now().value, served.refused) == ("loaded 3", None)


def test_a_refused_version_is_tried_again_a_little_later_each_time(serve, repository, monkeypatch) -> None:
    """A bad model of hundreds of megabytes is not read at every look; a new pointer is tried at once."""
    monkeypatch.setattr(serving, "LOOK_SECONDS", 120.0)
    served, loader = serve(v2=ModelError("no good"))
    repository.promote("colours", "2")
    for _ in range(5):
        served.update(repository)
    assert loader.loads == ["1", "2"]
    repository.promote("colours", "1")
    repository.publish(colours("3"))
    repository.promote("colours", "3")
    served.update(repository)
    assert served.now().value == "loaded 3"


def test_a_version_that_was_mended_is_taken_up_at_once_when_it_is_promoted_again(serve, repository) -> None:
    """Refused, rolled back, put right, promoted again: the pause of the first time is not waited for."""
    served, loader = serve(v2=ModelError("no good"))
    for name in ("promote", "rollback"):
        getattr(repository, name)(*(["colours", "2"] if name == "promote" else ["colours"]))
        served.update(repository)
    loader.moods.clear()
    repository.promote("colours", "2")
    served.update(repository)
    assert served.now().value == "loaded 2"


def test_the_error_has_both_reasons_if_the_version_before_is_no_good_either(serve, repository) -> None:
    """A worker that starts fresh after two bad promotes serves nothing, and says why of both."""
    repository.promote("colours", "2")
    served, _ = serve(v1=ModelError("the first reason"), v2=ModelError("the second reason"))
    assert served.now() is None
    assert "the second reason; and before it: the first reason" in served.refused


@pytest.mark.parametrize("damage", [b"{", b'{"version": "9"}'])
def test_a_pointer_to_nothing_is_refused(damage, serve, repository, store) -> None:
    """What is served goes on."""
    served, _ = serve()
    store.put(StoredObject("colours/current", damage, "application/json"))
    served.update(repository)
    assert served.now().value == "loaded 1"
    assert "colours" in served.refused


def test_a_pointer_that_is_gone_changes_nothing_that_is_served(serve, repository, store) -> None:
    """It is said, and the model stays."""
    served, _ = serve()
    store.delete("colours/current")
    served.update(repository)
    assert served.now().value == "loaded 1"
    assert "no current version any more" in served.refused

"""Hot swap: what is current is served; what is no good is refused, and the old one goes on."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from stageline import health, serving
from stageline.errors import ModelError, Unavailable
from stageline.modelstore import Model, Repository
from stageline.modelstore.card import CARD, written
from stageline.serving import ModelWatch, Served
from stageline.settings import Settings
from stageline.stage import StoredObject
from stageline.store import FolderStore
from stageline.store.base import MAX_OBJECT_BYTES
from tests.tiny_models import colour_network, colours

SETTINGS = Settings()


class Moody:
    """A loader that refuses the versions it was told to, as one does that meets a network of the wrong shape."""

    def __init__(self, **moods: Exception) -> None:
        self.moods = moods
        self.loads: list[str] = []

    def __call__(self, model: Model, _: Settings) -> str:
        """Load, or refuse."""
        self.loads.append(model.card.version)
        if "v" + model.card.version in self.moods:
            raise self.moods["v" + model.card.version]
        return f"loaded {model.card.version}"


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
        served.look(repository)
        return served, loader

    return make


def test_what_is_current_is_served_and_loaded_once(serve, repository) -> None:
    """Looking again and again loads nothing again."""
    served, loader = serve()
    served.look(repository)
    assert (served.now().value, served.now().card.reference, served.refused) == ("loaded 1", "colours@1", None)
    assert loader.loads == ["1"]


def test_a_new_version_is_taken_up_and_rolled_back(serve, repository) -> None:
    """A batch that took the old one keeps it; the next takes the new."""
    served, _ = serve()
    batch = served.now()
    repository.promote("colours", "2")
    served.look(repository)
    assert (batch.value, served.now().value) == ("loaded 1", "loaded 2")
    repository.rollback("colours")
    served.look(repository)
    assert served.now().card.version == "1"


@pytest.mark.parametrize("mood", [ModelError("of the wrong shape"), ValueError("a library's"), MemoryError()])
def test_a_version_that_does_not_load_is_refused_and_the_old_one_goes_on(mood, serve, repository) -> None:
    """Whatever its loading raises becomes a reason, and ends nothing."""
    served, _ = serve(v2=mood)
    repository.promote("colours", "2")
    served.look(repository)
    assert served.now().value == "loaded 1"
    assert str(mood) in served.refused
    repository.rollback("colours")
    served.look(repository)
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
        served.look(repository)
        assert (served.now().value, served.refused is None) == ("loaded 1", False), key
    store.put(StoredObject("colours/3/model.onnx", network, "application/octet-stream"))
    served.look(repository)
    assert (served.now().value, served.refused) == ("loaded 3", None)


def test_a_refused_version_is_tried_again_a_little_later_each_time(serve, repository) -> None:
    """A bad model of hundreds of megabytes is not read at every look; a new pointer is tried at once."""
    served, loader = serve(v2=ModelError("no good"))
    repository.promote("colours", "2")
    for _ in range(5):
        served.look(repository)
    assert loader.loads == ["1", "2"]
    repository.promote("colours", "1")
    repository.publish(colours("3"))
    repository.promote("colours", "3")
    served.look(repository)
    assert served.now().value == "loaded 3"


@pytest.mark.parametrize("damage", [b"{", b'{"version": "9"}'])
def test_a_pointer_to_nothing_is_refused(damage, serve, repository, store) -> None:
    """What is served goes on."""
    served, _ = serve()
    store.put(StoredObject("colours/current", damage, "application/json"))
    served.look(repository)
    assert served.now().value == "loaded 1"
    assert "colours" in served.refused


def test_a_pointer_that_is_gone_changes_nothing_that_is_served(serve, repository, store) -> None:
    """It is said, and the model stays."""
    served, _ = serve()
    store.delete("colours/current")
    served.look(repository)
    assert served.now().value == "loaded 1"
    assert "no current version any more" in served.refused


class Away(FolderStore):
    """A folder whose server may be away."""

    away = False

    def get(self, key: str, at_most: int = MAX_OBJECT_BYTES) -> bytes:
        """Read, or fail as a server does that is away."""
        if self.away:
            raise Unavailable("no route to it")
        return super().get(key, at_most)

    def check(self) -> None:
        """Reach it, or fail."""
        if self.away:
            raise Unavailable("no route to it")
        super().check()


@pytest.fixture
def watched(tmp_path, monkeypatch) -> Callable[..., tuple[ModelWatch, Served, Away]]:
    """Make a watch over one model in a store that may be away; it looks often."""
    monkeypatch.setattr(serving, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(serving, "FIRST_FETCH_SECONDS", 0.1)
    watches = []

    def make(*, published: bool = True, away: bool = False, **options: Any) -> tuple[ModelWatch, Served, Away]:
        store = Away(tmp_path / "models")
        if published:
            Repository(store).publish(colours())
            Repository(store).promote("colours", "1")
        store.away = away
        monkeypatch.setattr(serving, "open_repository", lambda _: Repository(store))
        served: Served[str] = Served("colours", Moody(), SETTINGS, **options)
        watch = ModelWatch([served], SETTINGS, "classify")
        watches.append(watch)
        watch.start()
        return watch, served, store

    yield make
    for watch in watches:
        watch.stop()
        watch.join(10)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_a_store_that_is_away_at_start_is_waited_for(watched) -> None:
    """Not ready until it could be looked into; then the model is served."""
    watch, served, store = watched(away=True)
    until(lambda: watch.away)
    report, status = health.readiness({"model_store": watch.check}, watch)
    assert (status, report["checks"]["model_store"]) == (503, "the model store: no route to it")
    store.away = False
    watch.wait_for_models()
    assert served.now().value == "loaded 1"
    assert health.readiness({"model_store": watch.check}, watch)[1] == 200


def test_a_store_that_goes_away_later_is_a_note(watched) -> None:
    """What is loaded serves: 200, degraded, with the reason; when it is back, ready."""
    watch, served, store = watched()
    watch.wait_for_models()
    store.away = True
    until(lambda: watch.away)
    report, status = health.readiness({}, watch)
    assert (status, report["status"], report["model_store"]) == (200, "degraded", "the model store: no route to it")
    assert served.now().value == "loaded 1"
    store.away = False
    until(lambda: watch.away is None)
    assert health.readiness({}, watch)[0]["status"] == "ready"


def test_what_was_never_installed_is_missing_unless_it_is_optional(watched) -> None:
    """Missing: 200, degraded, named; optional: nobody misses it. It is taken up when it comes."""
    watch, served, store = watched(published=False)
    watch.wait_for_models()
    report, status = health.readiness({}, watch)
    assert (status, report["status"], report["missing_models"]) == (200, "degraded", ["colours"])
    served.optional = True
    assert health.readiness({}, watch)[0]["status"] == "ready"
    Repository(store).publish(colours())
    Repository(store).promote("colours", "1")
    until(served.now)


def test_readiness_and_metrics_name_what_is_served_and_what_was_refused(watched, caplog) -> None:
    """A wrong hash shows in both, and once in the log."""
    watch, _, store = watched()
    watch.wait_for_models()
    Repository(store).publish(colours("2"))
    store.put(StoredObject("colours/2/model.onnx", b"another", "application/octet-stream"))
    with caplog.at_level(logging.ERROR):
        Repository(store).promote("colours", "2")
        until(lambda: REGISTRY.get_sample_value("stageline_refused_models", {"stage": "classify"}) == 1)
    report, status = health.readiness({}, watch)
    assert (status, report["status"], report["models"]["colours"]["serving"]) == (200, "degraded", "colours@1")
    assert "colours/2/model.onnx is not the file of its card" in report["models"]["colours"]["refused"]
    assert REGISTRY.get_sample_value("stageline_served_models", {"stage": "classify", "model": "colours@1"}) == 1


def test_a_watch_that_is_stopped_waits_for_no_store(watched) -> None:
    """Stopping while the store is away ends the thread without a crash."""
    watch, _, _ = watched(away=True)
    watch.stop()
    watch.join(10)
    assert not watch.is_alive()

"""A stage's watch over its models: stores that are away, fetches that take long, what readiness and metrics say."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from stageline.core.errors import Unavailable
from stageline.core.settings import Settings
from stageline.registry import serving
from stageline.registry.missing_models import ModelReport, encode_report
from stageline.registry.repository import Repository
from stageline.registry.serving import ModelWatch, Served
from stageline.store import FolderStore
from stageline.store.base import MAX_OBJECT_BYTES, StoredObject
from stageline.worker import health
from tests.support.moody_store import Moody
from tests.support.tiny_models import colours

SETTINGS = Settings()


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
        watch.join(60)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
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


def test_one_model_that_cannot_be_read_holds_up_no_other(watched, monkeypatch) -> None:
    """The others are looked at, the metrics reported, and readiness says what cannot be read."""
    watch, served, _ = watched()
    broken: Served[str] = Served("broken", Moody(), SETTINGS, optional=True)

    def unreadable(_: Repository) -> None:
        raise Unavailable("an unreadable object")

    monkeypatch.setattr(broken, "update", unreadable)
    watch.served = [broken, served]
    watch.wait_for_models()
    until(lambda: watch.away)
    assert served.now().value == "loaded 1"
    assert health.readiness({"model_store": watch.check}, watch)[0]["model_store"].endswith("an unreadable object")


def test_a_fetch_that_takes_long_holds_up_no_swap(watched, monkeypatch) -> None:
    """While a missing model is fetched, another one's new version is taken up."""
    begun, fetching = threading.Event(), threading.Event()

    def fetch(*_: object) -> None:
        begun.set()
        fetching.wait(120)

    monkeypatch.setattr(serving, "is_for_a_worker", lambda _: True)
    monkeypatch.setattr(serving, "install", fetch)
    watch, served, store = watched(published=False)
    assert begun.wait(60)
    Repository(store).publish(colours())
    Repository(store).promote("colours", "1")
    until(served.now)
    assert not watch._fetch_ended.is_set()
    fetching.set()


def test_a_folder_that_is_mounted_for_reading_serves(watched) -> None:
    """Nothing is written where all is there: a store whose check fails, as one that must not be written to, is no
    matter."""
    watch, served, store = watched()
    store.check = lambda: (_ for _ in ()).throw(Unavailable("cannot be written to"))
    watch.wait_for_models()
    assert served.now().value == "loaded 1"


def test_what_was_never_installed_is_missing_unless_it_is_optional(watched) -> None:
    """Missing: 200, degraded, named; optional: not reported. It is taken up when it comes."""
    watch, served, store = watched(published=False)
    watch.wait_for_models()
    report, status = health.readiness({}, watch)
    assert (status, report["status"], report["missing_models"]) == (200, "degraded", ["colours"])
    served.optional = True
    assert health.readiness({}, watch)[0]["status"] == "ready"
    Repository(store).publish(colours())
    Repository(store).promote("colours", "1")
    until(served.now)


@pytest.mark.parametrize("essential", [True, False])
def test_what_only_adds_something_is_listed_and_degrades_nothing(watched, essential) -> None:
    """As FaceNet: 200, ready, and its name among the missing; an essential model is reported as essential."""
    watch, *_ = watched(published=False, essential=essential)
    watch.wait_for_models()
    report, status = health.readiness({}, watch)
    assert (status, report["missing_models"]) == (200, ["colours"])
    assert report["status"] == ("degraded" if essential else "ready")
    assert ModelReport.decode(encode_report(watch).encode()) == ModelReport(
        ("colours",), ("colours",) if essential else ()
    )


def test_a_heartbeat_carries_what_the_watch_knows(watched) -> None:
    """Nothing while all is well; then what is refused and why, and that the store is away."""
    watch, served, store = watched()
    watch.wait_for_models()
    assert encode_report(watch) == ""
    Repository(store).publish(colours("2"))
    store.put(StoredObject("colours/2/model.onnx", b"another", "application/octet-stream"))
    Repository(store).promote("colours", "2")
    until(lambda: served.refused)
    assert "not the file of its card" in ModelReport.decode(encode_report(watch).encode()).refused["colours"]
    store.away = True
    until(lambda: watch.away)
    assert ModelReport.decode(encode_report(watch).encode()).away == "the model store: no route to it"


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
    watch.join(60)
    assert not watch.is_alive()

"""Where a stream of events goes on: after an event that is not kept any more, or never was; and requests meanwhile."""

import itertools
import math
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from grab_service.http.app import create_app
from grab_service.images import face_search
from grab_service.images.lookup import PictureLookup
from grab_service.line.intake import Intake, Wanted
from grab_service.streaming import event_streams
from grab_service.streaming.hub import Hub
from stageline.broker.events import Event
from stageline.broker.keys import EVENTS
from stageline.core.settings import Settings
from stageline.registry.repository import Repository
from stageline.store import FolderStore
from tests.support.api_client import JPEG, assert_problem, with_catalogue
from tests.support.served_api import until
from tests.support.tiny_embedder import cells

LATER = "999999999999999-0"


@pytest.fixture
def intake(settings: Settings) -> Intake:
    """The intake on a folder."""
    found = with_catalogue(settings)
    made = Intake(FolderStore(found.stageline_data / "images"), found)
    made.store.check()
    return made


@pytest.fixture
def hub(settings: Settings) -> Hub:
    """The hub that passes events to the streams."""
    return Hub(settings.redis_url)


def types(pieces: Iterator[str] | None, count: int) -> list[str]:
    """The types of the next events of a stream."""
    assert pieces is not None
    blocks = (piece for piece in pieces if "event: " in piece)
    return [block.partition("event: ")[2].partition("\n")[0] for block in itertools.islice(blocks, count)]


def test_an_event_that_is_yet_to_come_is_the_newest(intake: Intake, hub: Hub, monkeypatch) -> None:
    """The id is of another Redis, or made up: the stream has the events from now on."""
    intake.accept(JPEG, "a.jpg", "", Wanted())
    watcher = hub.watch()
    pieces = event_streams.stream(hub, watcher, LATER)
    assert next(pieces) == event_streams.RETRY
    wait = watcher.next

    def accept_and_wait(seconds: float) -> Event | None:
        intake.accept(JPEG, "b.jpg", "", Wanted(image_id="b"))  # which may be repeated
        return wait(seconds)

    monkeypatch.setattr(watcher, "next", accept_and_wait)  # so it is accepted once the stream knows where it goes on
    assert '"image_id": "b"' in next(piece for piece in pieces if "event: " in piece).replace('":"', '": "')


def test_what_is_not_kept_any_more_is_a_gap(intake: Intake, hub: Hub) -> None:
    """It is said first; of one picture, how it stands makes up for it. Where all is kept there is none."""
    lookup = PictureLookup(intake)
    for image_id in ("a", "b"):
        intake.accept(JPEG, "a.jpg", "", Wanted(image_id=image_id))
    assert types(event_streams.stream(hub, hub.watch(), "0-0"), 2) == ["accepted", "accepted"]
    assert types(event_streams.stream_one(hub, hub.watch("a"), lookup, "0-0"), 1) == ["accepted"]
    intake.client.xtrim(EVENTS, 1, approximate=False)
    assert types(event_streams.stream(hub, hub.watch(), "0-0"), 2) == ["gap", "accepted"]
    assert types(event_streams.stream_one(hub, hub.watch("a"), lookup, "0-0"), 2) == ["gap", "status"]
    newest = hub.newest()
    intake.accept(JPEG, "c.jpg", "", Wanted())
    assert types(event_streams.stream(hub, hub.watch(), newest), 1) == ["accepted"]


def test_a_search_by_a_picture_holds_up_no_upload(settings: Settings, tmp_path, monkeypatch) -> None:
    """While it waits for the line it has no turn among the uploads."""
    repository = Repository(FolderStore(tmp_path / "models"))
    repository.publish(cells())
    repository.promote("facenet-vggface2", "1")
    found = with_catalogue(settings).model_copy(update={"models_dir": tmp_path / "models", "door_threads": 1})
    store = FolderStore(found.stageline_data / "images")
    store.check()
    intake = Intake(store, found)
    app = create_app(found, intake)
    timeout_over = threading.Event()  # of the search: no sooner than all else was looked at
    clock = SimpleNamespace(monotonic=lambda: math.inf if timeout_over.is_set() else 0.0, sleep=time.sleep)
    monkeypatch.setattr(face_search, "time", clock)
    answers: list[object] = []
    search = threading.Thread(target=lambda: answers.append(app.test_client().post("/faces/search", data=JPEG)))
    search.start()
    until(lambda: intake.line.unfinished() == 1)
    assert app.test_client().post("/upload", data=JPEG).status_code == 202
    monkeypatch.setitem(app.config, "SEARCHES", threading.BoundedSemaphore(1))
    app.config["SEARCHES"].acquire()
    assert_problem(app.test_client().post("/faces/search", data=JPEG), 503, "searches by pictures")
    assert not answers, "it waits still"
    timeout_over.set()
    search.join()
    assert_problem(answers[0], 503, "the line did not come to the picture")  # type: ignore[arg-type]

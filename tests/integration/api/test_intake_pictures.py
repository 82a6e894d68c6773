"""Pictures as the API shows them: parts, conditions, so many at once; and sentences that say what is allowed."""

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from grab_service.api.problems import NoPlace
from grab_service.http.app import create_app
from grab_service.images import downloads
from grab_service.images.downloads import Places
from grab_service.line.intake import Intake, Wanted
from stageline.broker import dead_letters
from stageline.broker.consumer import Consumer
from stageline.broker.keys import DEAD_LETTERS
from stageline.catalogue.cursor import encode
from stageline.catalogue.reader import Filter
from stageline.core.settings import Settings
from stageline.pipeline import line, results
from stageline.pipeline.message import PROBE, Message
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.api_client import JPEG, assert_problem, limits, with_catalogue
from tests.support.served_api import until

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def intake(settings: Settings) -> Intake:
    """The intake on a folder."""
    small = limits(with_catalogue(settings), max_upload_bytes=100_000)
    found = Intake(FolderStore(small.stageline_data / "images"), small)
    found.store.check()
    return found


@pytest.fixture
def client(intake: Intake) -> Iterator[FlaskClient]:
    """Its client."""
    with create_app(intake.settings, intake).test_client() as found:
        yield found


@pytest.fixture
def path(client: FlaskClient) -> str:
    """Where a picture is shown."""
    return f"/image/{client.post('/upload', data=JPEG).get_json()['image_id']}"


def test_what_the_client_has_is_not_read(path: str, client: FlaskClient, intake: Intake, monkeypatch) -> None:
    """The ETag is the bytes' MD5, which the store knows: a 304 takes no place, and reads nothing."""
    etag = client.get(path).headers["ETag"]
    assert etag == f'"{hashlib.md5(JPEG).hexdigest()}"'
    monkeypatch.setattr(intake.store, "get", lambda *_: pytest.fail("it was read"))
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)


def test_a_part_is_shown(path: str, client: FlaskClient) -> None:
    """A Range is a 206 with its position; one beyond the end a 416 with the length; If-Range is heeded."""
    whole = client.get(path)
    assert (whole.status_code, whole.headers["Accept-Ranges"]) == (200, "bytes")
    part = client.get(path, headers={"Range": "bytes=2-5", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.data) == (206, JPEG[2:6])
    assert part.headers["Content-Range"] == f"bytes 2-5/{len(JPEG)}"
    assert client.get(path, headers={"Range": "bytes=2-5", "If-Range": '"other"'}).status_code == 200
    beyond = client.get(path, headers={"Range": f"bytes={len(JPEG)}-"})
    assert_problem(beyond, 416)
    assert beyond.headers["Content-Range"] == f"bytes */{len(JPEG)}"


def test_every_answer_leaves_its_place(path: str, client: FlaskClient, monkeypatch) -> None:
    """However it ends: with one place, one after another is shown; while it is taken, others come again."""
    monkeypatch.setattr(downloads, "SENT_AT_ONCE", 1)
    monkeypatch.setattr(downloads, "PLACE_SECONDS", 0.0)
    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": f"bytes={len(JPEG)}-"}, {"If-Match": '"x"'}):
        client.get(path, headers=headers).close()
        client.head(path).close()
    assert_problem(client.get(f"{path}?stage=tagged"), 404)
    shown = client.get(path, buffered=False)
    assert_problem(client.get(path), 503, "being sent")
    shown.close()
    assert client.get(path).status_code == 200


def test_so_many_bytes_are_sent_at_once_and_no_more(monkeypatch) -> None:
    """One that is larger than all may have goes alone; the requests that wait go on when there is room."""
    monkeypatch.setattr(downloads, "SENT_BYTES", 100)
    monkeypatch.setattr(downloads, "PLACE_SECONDS", 60.0)
    places = Places()
    first = places.enter(1000)
    first.hold(60)
    entered: list[object] = []
    waits = threading.Thread(target=lambda: entered.append(places.enter(50)))
    waits.start()
    until(lambda: places._waiting == 1)
    with monkeypatch.context() as patch:
        patch.setattr(downloads, "PLACE_SECONDS", 0.0)
        with pytest.raises(NoPlace):
            places.enter(50)
    first.leave()
    first.leave()
    waits.join()
    assert len(entered) == 1


def test_a_repeated_upload_of_a_deleted_picture_is_gone(client: FlaskClient) -> None:
    """Under its key it was done, and it is gone: a 410, not an answer that leads nowhere."""
    key = {"Idempotency-Key": "k"}
    first = client.post("/upload", data=JPEG, headers=key).get_json()
    assert client.post("/upload", data=JPEG, headers=key).get_json() == first
    assert client.delete(f"/image/{first['image_id']}").status_code == 204
    assert_problem(client.post("/upload", data=JPEG, headers=key), 410, first["image_id"], "deleted")


def test_a_probe_is_no_picture(client: FlaskClient, intake: Intake) -> None:
    """A picture of /faces/search on its way is no picture to others."""
    image_id = f"{PROBE}one"
    intake.accept(JPEG, "x.jpg", "", Wanted(image_id=image_id, probe=True))
    for name in ("status", "image", "ledger", "events"):
        assert_problem(client.get(f"/{name}/{image_id}"), 404)
    assert_problem(client.delete(f"/image/{image_id}"), 404)
    assert_problem(client.post(f"/process/{image_id}"), 404)


def test_a_foreign_picture_has_its_start(client: FlaskClient, intake: Intake) -> None:
    """Its producer may have given no time: the status has its first run's, or its first stage's."""
    document: dict[str, object] = {
        "image_id": "foreign",
        "original_path": "original/foreign.jpg",
        "status": "completed",
    }
    document["stages"] = {
        "tag": {"started": "2026-11-21T14:00:02.000Z"},
        "resize": {"started": "2026-11-21T14:00:01.000Z"},
    }
    for more, began in (({}, "2026-11-21T14:00:01.000Z"), ({"runs": [{"run": 1, "created_at": "2026"}]}, "2026")):
        intake.store.put(StoredObject(results.key("foreign"), json.dumps(document | more).encode(), "application/json"))
        assert client.get("/status/foreign").get_json()["created_at"] == began


def test_a_status_has_the_job_id_of_its_upload(client: FlaskClient, intake: Intake) -> None:
    """While the picture moves, asked for by its name, and when only its results are left."""
    sent = client.post("/upload?filename=a.jpg", data=JPEG).get_json()
    ended = {"image_id": "ended", "original_path": "original/ended.jpg", "status": "completed"}
    intake.store.put(StoredObject(results.key("ended"), json.dumps(ended).encode(), "application/json"))
    for asked, job_id in ((sent["image_id"], sent["job_id"]), (sent["filename"], sent["job_id"]), ("ended", "ended")):
        status = client.get(f"/status/{asked}").get_json()
        assert status["job_id"] == status["image_id"] == job_id


def test_the_dead_are_replayed_so_many_at_once(client: FlaskClient, intake: Intake, monkeypatch) -> None:
    """Each call sends some, and says how many are left; what cannot be sent stays, and blocks no other."""
    monkeypatch.setattr("grab_service.images.reruns.MAX_REPLAYS", 3)
    monkeypatch.setattr(dead_letters, "BATCH_SIZE", 2)
    consumer, ids = Consumer(intake.settings.redis_url, line.stage("resize"), "one", 60), []
    intake.client.rpush(DEAD_LETTERS, b"junk", b"more junk")
    for _ in range(5):
        ids.append(client.post("/upload", data=JPEG).get_json()["image_id"])
        raw = consumer.take(1)
        consumer.dead_letter(raw, dead_letters.encode("resize", raw, "why", message=Message.decode(raw)))
    found = client.post("/dead/replay", data='{"all": true}', headers=JSON).get_json()
    assert ([each["image_id"] for each in found["replayed"]], found["left"]) == (ids[:3], 2)
    named = client.post("/dead/replay", data=json.dumps({"image_ids": [ids[4], "x"]}), headers=JSON).get_json()
    assert ([each["image_id"] for each in named["replayed"]], named["left"]) == (ids[4:], 0)
    found = client.post("/dead/replay", data='{"all": true}', headers=JSON).get_json()
    assert ([each["image_id"] for each in found["replayed"]], len(found["refused"]), found["left"]) == (ids[3:4], 2, 0)


SENTENCES = [
    ("GET", "/upload", 405, "POST", {}), ("PUT", "/status/x", 405, "GET", {}), ("GET", "/nowhere", 404, "/docs", {}),
    ("POST", "/upload", 422, "1 to 255 visible ASCII", {"headers": {"Idempotency-Key": "a b"}}),
    ("GET", "/images?category=", 422, "it must be a label", {}),
    ("GET", "/images?since=1763733600", 422, "ISO 8601", {}), ("GET", "/images?until=-1e400", 422, "ISO 8601", {}),
    ("POST", "/batch-upload", 415, "multipart/form-data", {"data": JPEG, "headers": {"Content-Type": "image/jpeg"}}),
    ("POST", "/dead/replay", 413, "1,048,576", {"data": b'{"all": "%s"}' % (b"x" * 1_100_000), "headers": JSON}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status", "words", "more"), SENTENCES)
def test_a_refusal_says_what_is_allowed(method, path, status, words, more, client: FlaskClient) -> None:
    """In words of its own, not in those of a library, nor of another limit."""
    assert_problem(client.open(path, method=method, **more), status, words)


def test_a_cursor_is_of_its_filters(client: FlaskClient) -> None:
    """With others it is a 422, not a page of something else."""
    made = encode(datetime(2026, 11, 21, tzinfo=UTC), "a", repr(Filter(kind="face")))
    assert client.get(f"/images?kind=face&cursor={made}").status_code == 200
    assert_problem(client.get(f"/images?kind=object&cursor={made}"), 422, "other filters")

"""The HTTP API's answers about pictures, states, counts; and to ids, stages and headers that are odd."""

import json
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from grab_service.http.app import create_app
from grab_service.line.intake import Intake
from stageline.broker import dead_letters
from stageline.broker.consumer import Consumer
from stageline.broker.producer import Producer
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.store import FolderStore, ObjectStore
from stageline.store.base import StoredObject
from stageline.worker import health
from tests.support.api_client import JPEG, assert_problem, limits, with_catalogue
from tests.support.picture_makers import encoded, scene

UNKNOWN = "01J00000000000000000000000"


@pytest.fixture
def folder(settings: Settings) -> ObjectStore:
    """A bucket for what does not depend on the kind of store."""
    found = FolderStore(with_catalogue(settings).stageline_data / "images")
    found.check()
    return found


@pytest.fixture
def client(settings: Settings, folder: ObjectStore) -> Iterator[FlaskClient]:
    """A client of an API process with a small limit."""
    small = limits(settings, max_upload_bytes=100_000, max_image_pixels=1_000_000)
    with create_app(small, Intake(folder, small)).test_client() as found:
        yield found


ODD_IDS = [UNKNOWN, "..%2f..%2fetc%2fpasswd", "%00", "a%00", "a%0a", "%ff%fe", "a" * 65, "a" * 5000, "ä", "*", "%25",
           "a:b", "..", "%2e%2e"]  # fmt: skip


@pytest.mark.parametrize("image_id", ODD_IDS)
@pytest.mark.parametrize("path", ["/status/%s", "/image/%s", "/image/%s?stage=tagged", "/image/%s?stage=blurred"])
def test_unknown_and_odd_ids_are_404(path: str, image_id: str, client: FlaskClient) -> None:
    """An id of no picture, or one that is no id, is a 404, and reaches no file."""
    assert_problem(client.get(path % image_id), 404)


@pytest.mark.parametrize("stage", [folder.name for folder in line.pictures()[1:]])
def test_a_stage_that_has_no_picture_yet_is_404(stage: str, client: FlaskClient) -> None:
    """A stage's picture is shown when it has come to it."""
    image_id = client.post("/upload", data=JPEG).get_json()["image_id"]
    assert_problem(client.get(f"/image/{image_id}?stage={stage}"), 404, stage)


def test_the_description_reads_the_table_of_the_line(client: FlaskClient) -> None:
    """GET /image takes the folders that hold pictures, and POST /process the stages."""
    described = client.get("/openapi.json").get_json()
    paths = described["paths"]
    shown = {each["name"]: each for each in paths["/image/{image_id}"]["get"]["parameters"]}["stage"]
    assert shown["schema"]["enum"] == [folder.name for folder in line.pictures()]
    stages = described["components"]["schemas"]["StageName"]["enum"]
    assert stages == [stage.name for stage in line.LINE]
    assert "StageName" in json.dumps(paths["/process/{image_id}"]["post"]["parameters"])


@pytest.mark.parametrize("stage", ["", "detections", "results", "..", "%00", "original/..", "x" * 3000])
def test_a_stage_that_has_no_pictures_is_422(stage: str, client: FlaskClient) -> None:
    """What is no stage that leaves pictures is a wrong parameter, and reaches no folder."""
    image_id = client.post("/upload", data=JPEG).get_json()["image_id"]
    refused = client.get(f"/image/{image_id}?stage={stage}")
    assert_problem(refused, 422, "original", "blurred")
    assert [error["field"] for error in refused.get_json()["errors"]] == ["stage"]


CONDITIONS = [
    {"If-None-Match": "x" * 3000}, {"If-None-Match": '"""'}, {"If-Modified-Since": "yesterday"}, {"Range": "bytes=9-1"},
    {"Range": "bytes=-"}, {"Range": "bytes=0-" + "9" * 400}, {"Range": "lines=1-2"}, {"If-Range": "\xff"},
    {"If-Match": '"x"'}, {"Accept": ";;;q=x"}, {"traceparent": "00-" + "0" * 32}, {"Cookie": "=;=;" * 100},
    {"Host": "a b"}, {"Host": ""}, {"Host": "[::1"}, {"X-Forwarded-For": "x"},
]  # fmt: skip


@pytest.mark.parametrize("headers", CONDITIONS)
def test_odd_headers_are_no_500(headers: dict[str, str], client: FlaskClient) -> None:
    """Malformed conditions, ranges and hosts are ignored, or a 4xx."""
    accepted = client.post("/upload", data=JPEG, headers=headers)
    assert accepted.status_code in (202, 400)
    image_id = client.post("/upload", data=JPEG).get_json()["image_id"]
    answer = client.get(f"/image/{image_id}", headers=headers)
    assert answer.status_code in (200, 206, 400, 412, 416)
    again = client.get(
        f"/image/{image_id}", headers={"If-None-Match": client.get(f"/image/{image_id}").headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")


def test_health_and_metrics(client: FlaskClient) -> None:
    """Every page that watches is there, and says that all is well."""
    assert client.get("/readyz").get_json()["status"] == "ready"
    whole = client.get("/health").get_json()
    assert (whole["status"], whole["checks"]) == (
        "degraded", {"redis": "ok", "object_store": "ok", "catalogue": "ok", "cache": "off"},
    )  # fmt: skip
    assert [problem.split()[1] for problem in whole["problems"]] == [stage.name for stage in line.LINE]
    assert client.get("/healthz").get_json() == {"status": "alive"}
    client.post("/upload", data=JPEG)
    client.post("/upload", data=b"x")
    assert b'stageline_queue_messages{stage="resize",state="waiting"} 1.0' in client.get("/metrics").data
    assert set(client.get("/queue-status").get_json()) == {"stages", "total", "unfinished", "max_queue_size"}


def test_dead_letters_are_counted_and_junk_among_them_harms_no_page(client: FlaskClient, settings: Settings) -> None:
    """Each stage's dead are counted without being read; what somebody else put on the list is no 500."""
    consumer = Consumer(settings.redis_url, line.stage("detect"), "one", 60)
    lists = Producer(settings.redis_url, 1).client
    for number in range(3):
        raw = b"not a message %d" % number
        lists.rpush("objectdetect_queue", raw)
        consumer.take(0.1)
        consumer.dead_letter(raw, dead_letters.encode("detect", raw, "why"))
    lists.rpush("dead_letters", b"\xff", b"[]", b"{}")
    assert client.get("/queue-status").get_json()["stages"]["detect"]["dead"] == 3
    assert b'stageline_queue_messages{stage="detect",state="dead"} 3.0' in client.get("/metrics").data


def test_a_server_without_blmove_is_known_by_its_version() -> None:
    """Redis 6.2 is the first that is accepted; a server that hides its version is accepted."""
    assert [health.is_too_old(version) for version in ("5.0.14", "6.0.16", "2.8", "6.1.240")] == [True] * 4
    assert [health.is_too_old(version) for version in ("6.2.0", "7.0.15", "8.4", "10.0", "255.255.255", "")] == [
        False
    ] * 6


def test_what_a_stage_made_is_shown(client: FlaskClient, folder: ObjectStore) -> None:
    """/image shows each stage's picture with its type, and has the browser treat it as nothing else."""
    polyglot = encoded(scene(), "JPEG") + b"<script>alert(1)</script>"
    image_id = client.post("/upload", data=polyglot).get_json()["image_id"]
    folder.put(StoredObject(f"tagged/{image_id}.jpg", JPEG, "image/jpeg"))
    assert client.get(f"/image/{image_id}?stage=tagged").data == JPEG
    answer = client.get(f"/image/{image_id}?stage=original")
    assert (answer.data, answer.mimetype) == (polyglot, "image/jpeg")
    assert "sandbox" in answer.headers["Content-Security-Policy"]

"""The HTTP API on a real Redis and each object store: what it takes, what it answers, what it refuses and how."""

import json
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from grab_service.http.app import create_app
from grab_service.line.intake import Intake
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.store import FolderStore, ObjectStore
from tests.support.api_client import JPEG, KINDS, assert_problem, form, limits, queued
from tests.support.picture_makers import png

ALWAYS = ("image_id", "job_id", "filename", "file_size", "status", "message")
FORM_TYPE = "application/x-www-form-urlencoded"  # what curl --data-binary says


@pytest.fixture
def folder(settings: Settings) -> ObjectStore:
    """A bucket for what does not depend on the kind of store."""
    found = FolderStore(settings.stageline_data / "images")
    found.check()
    return found


@pytest.fixture
def client(settings: Settings, folder: ObjectStore) -> Iterator[FlaskClient]:
    """A client of an API process with a small limit."""
    small = limits(settings, max_upload_bytes=100_000, max_image_pixels=1_000_000)
    with create_app(small, Intake(folder, small)).test_client() as found:
        yield found


@pytest.mark.parametrize("way", ["image", "file", "raw", "curl's default type", "image/jpeg"])
def test_an_upload_is_accepted_stored_and_queued(way: str, settings: Settings, store: ObjectStore) -> None:
    """Each way of sending is answered 202 as the contract says; the picture is in the store, its message queued."""
    client = create_app(settings, Intake(store, settings)).test_client()
    if way in ("image", "file"):
        answer = client.post("/upload", **form(JPEG, "street.jpg", way))
    else:
        kind = {"raw": None, "curl's default type": FORM_TYPE}.get(way, way)
        answer = client.post("/upload?filename=street.jpg", data=JPEG, content_type=kind)
    assert answer.status_code == 202
    content = json.loads(answer.data)
    assert set(content) == {*ALWAYS, "task_id", "estimated_seconds"}
    assert content["image_id"] == content["job_id"]
    assert (content["filename"], content["file_size"], content["status"]) == ("street.jpg", len(JPEG), "submitted")
    assert answer.headers["Location"] == f"/status/{content['image_id']}"
    (message,) = queued(settings)
    assert message.image_id == content["image_id"]
    assert store.get(message.original_path) == JPEG
    status = client.get(answer.headers["Location"]).get_json()
    assert status["status"] == "submitted"
    assert list(status["stages"]) == ["grab", *(stage.name for stage in line.LINE)]
    entry = status["stages"]["grab"]
    assert entry == message.fields["stages"]["grab"]
    assert (entry["state"], entry["attempt"], entry["key"]) == ("done", 1, message.original_path)
    assert entry["worker"] == settings.worker_id
    shown = client.get(f"/image/{message.image_id}")
    assert (shown.data, shown.mimetype, shown.headers["X-Content-Type-Options"]) == (JPEG, "image/jpeg", "nosniff")


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_picture_is_accepted(name: str, client: FlaskClient, settings: Settings) -> None:
    """Whatever format and kind: 202, and its message has the size as it is meant to be seen."""
    assert client.post("/upload", data=KINDS[name]).status_code == 202
    (message,) = queued(settings)
    assert sorted((message.fields["origin_w"], message.fields["origin_h"])) == [48, 64]


BAD: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "empty"), ("text", b"hello", 415, "JPEG, PNG"), ("html", b"<html>" + JPEG, 415, "JPEG, PNG"),
    ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "JPEG, PNG"), ("half", JPEG[:1000], 422, "cut off"),
    ("large", png(1001, 1000, 1, 0, bytes(126 * 1000)), 413, "1,000,000 pixels"),
    ("bomb", png(60_000, 60_000, 1, 0, b"x"), 413, "60000 × 60000"),
    ("long", JPEG + bytes(100_000), 413, "100,000 bytes"), ("longer", bytes(500_000), 413, "MAX_UPLOAD_BYTES"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "status", "word"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_bad_input_is_refused(
    data: bytes, status: int, word: str, client: FlaskClient, settings: Settings, folder: ObjectStore
) -> None:
    """A 4xx that says what is wrong and what is allowed, in a form or raw; nothing is stored or queued."""
    assert_problem(client.post("/upload", data=data), status, word)
    assert_problem(client.post("/upload", **form(data)), status, word)
    assert queued(settings) == []
    assert list(folder.keys("original/")) == []


@pytest.mark.parametrize(
    "name", ["../../x.jpg", "写真.jpg", "x" * 4096 + ".jpg", 'a"b.jpg', "%2e%2e%2fx.jpg", "a;b=c.png"]
)
def test_a_filename_never_becomes_a_key(name: str, client: FlaskClient, folder: ObjectStore) -> None:
    """Whatever the name, the key is made of the id alone, and status and message have the name."""
    content = client.post("/upload", **form(JPEG, name)).get_json()
    assert list(folder.keys("")) == [f"original/{content['image_id']}.jpg"]
    status = client.get(f"/status/{content['image_id']}").get_json()
    assert status["filename"] == content["filename"]
    assert "/" not in content["filename"]


BOUNDARY = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
ODD_FORMS: list[tuple[str, bytes]] = [
    ("multipart/form-data", b"x"), ("multipart/form-data; boundary=", b"--\r\n\r\n----"), (BOUNDARY, b""),
    (BOUNDARY, b"--x--"), (BOUNDARY, b"--x\r\n\r\n\r\n--x--"), (BOUNDARY, PART), (BOUNDARY, PART[:20]),
    (BOUNDARY, b"\xff" * 1000), (BOUNDARY, PART.replace(b"image", b"picture") + JPEG + b"\r\n--x--\r\n"),
    (BOUNDARY, PART.replace(b'; filename="a.jpg"', b"") + b"text\r\n--x--\r\n"),
    (BOUNDARY, b"--x\r\nContent-Disposition: " + b"y" * 5000 + b"\r\n\r\n\r\n--x--"),
    (BOUNDARY, b"--x\r\nContent-Disposition: form-data; name=\xff\xfe; filename=\xff\r\n\r\nx\r\n--x--"),
    ("multipart/form-data; boundary=" + "y" * 5000, PART + JPEG), ("multipart/mixed; boundary=x", PART + b"\r\n--x--"),
    (";;;=", b"x"), ("\xff", b"x"), ("image/jpeg; charset=utf-7", b"x"), ("application/json", b'{"image": 1}'),
    (FORM_TYPE, b"image=x&" * 10_000), ("text/html; charset=nonsense", b"x"), ('multipart/form-data; =;;"', b"--"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), ODD_FORMS)
def test_odd_and_broken_forms_are_refused(kind: str, body: bytes, client: FlaskClient) -> None:
    """Any content type over any body is a 4xx with a sentence, never a 500."""
    answer = client.post("/upload", data=body, content_type=kind)
    assert answer.status_code in (400, 413, 415)
    assert_problem(answer, answer.status_code)


def test_forms_of_many_parts_and_large_fields_are_refused(settings: Settings, folder: ObjectStore) -> None:
    """A thousand parts, or half a megabyte of text in one, is a 413 that says so."""
    client = create_app(settings, Intake(folder, settings)).test_client()
    field = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n%s\r\n'
    for body in (field % b"1" * 1001 + b"--x--", field % (b"y" * 600_000) + b"--x--"):
        assert_problem(client.post("/upload", data=body, content_type=BOUNDARY), 413, "parts", "of text")
    for body in (field % b"1" * 900 + PART + JPEG + b"\r\n--x--",):
        assert client.post("/upload", data=body, content_type=BOUNDARY).status_code == 202


def test_the_error_names_a_field_sent_as_text(client: FlaskClient) -> None:
    """curl -F image=<file, or without its @, is a frequent slip: the sentence shows how it is meant."""
    answer = client.post("/upload", data={"image": "street.jpg"}, content_type="multipart/form-data")
    assert_problem(answer, 400, "as text", "image=@street.jpg")


def test_the_line_is_full(settings: Settings, folder: ObjectStore) -> None:
    """MAX_QUEUE_SIZE unfinished pictures, and the next is a 429 with Retry-After, without being read or stored."""
    small = limits(settings, max_queue_size=2)
    client = create_app(small, Intake(folder, small)).test_client()
    assert [client.post("/upload", data=JPEG).status_code for _ in range(2)] == [202, 202]
    assert_problem(client.post("/upload", data=JPEG), 429, "MAX_QUEUE_SIZE")
    assert len(list(folder.keys("original/"))) == len(queued(settings)) == 2
    assert client.get("/queue-status").get_json()["unfinished"] == 2


def test_methods_paths_and_redirects(client: FlaskClient) -> None:
    """Unknown paths are 404, wrong methods 405 with what is allowed; both are problems."""
    assert_problem(client.get("/nowhere"), 404)
    assert_problem(client.post("/nowhere", data=JPEG), 404)
    for method, path in (("GET", "/upload"), ("DELETE", "/upload"), ("POST", "/status/x"), ("PUT", "/health")):
        answer = client.open(path, method=method)
        assert_problem(answer, 405)
        assert answer.headers["Allow"]
    assert client.open("/upload", method="BREW").status_code == 405
    assert client.get("/status//x").status_code in (301, 308, 404)
    assert client.open("/upload", method="OPTIONS").status_code == 200


def test_a_caller_s_trace_goes_on(client: FlaskClient, settings: Settings) -> None:
    """A well-formed traceparent travels in the message; a malformed one is replaced."""
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for given in (good, "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5000):
        client.post("/upload", data=JPEG, headers={"traceparent": given})
    traces = [message.fields["traceparent"] for message in queued(settings)]
    assert traces[0] == good
    assert good not in traces[1:]

"""Batches under an Idempotency-Key: what did not come to its end is gone on with, under the same ids."""

import shutil
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from grab_service.http.app import create_app
from grab_service.line.intake import Intake, Wanted
from grab_service.uploads import batches
from grab_service.uploads.forms import Sent
from stageline.core.settings import Settings
from stageline.pipeline.first_message import make_id
from stageline.store import FolderStore
from tests.support.api_client import JPEG, assert_problem, limits, with_catalogue

PICTURES = [JPEG + b"%d" % number for number in range(3)]
END = b"--x--\r\n"


def body(*pictures: bytes) -> bytes:
    """The beginning of a form with these pictures."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return b"".join(head + data + b"\r\n" for data in pictures)


def intake(settings: Settings, **more: Any) -> Intake:
    """The intake on a folder."""
    found = limits(with_catalogue(settings), **more)
    made = Intake(FolderStore(found.stageline_data / "images"), found)
    made.store.check()
    return made


@pytest.fixture
def client(settings: Settings) -> FlaskClient:
    """A client of one."""
    found = intake(settings)
    return create_app(found.settings, found).test_client()


def send(client: FlaskClient, data: bytes) -> TestResponse:
    """Send a batch under a key."""
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Idempotency-Key": "k"}
    return client.post("/batch-upload", data=data, headers=headers)


def ids(answer: TestResponse) -> list[str | None]:
    """The files' ids; None of one that was refused."""
    assert answer.status_code == 202, answer.data
    return [each.get("image_id") for each in answer.get_json()["files"]]


def test_a_batch_that_broke_off_is_gone_on_with(client: FlaskClient) -> None:
    """The whole of it, sent under the same key, takes what is missing; then it is remembered."""
    broken = send(client, body(*PICTURES[:2])[:-20])
    assert (broken.get_json()["accepted"], broken.get_json()["refused"]) == (1, 1)
    assert_problem(send(client, b"nonsense"), 400)
    whole = send(client, body(*PICTURES) + END)
    assert "Idempotent-Replayed" not in whole.headers
    assert ids(whole)[:1] == ids(broken)[:1]
    assert None not in ids(whole)
    again = send(client, body(*PICTURES) + END)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.get_json(), again.headers["Location"]) == (whole.get_json(), whole.headers["Location"])
    assert_problem(send(client, body(*PICTURES[:2]) + END), 422, "another")


def test_what_could_not_be_taken_now_may_be_sent_again(client: FlaskClient, settings: Settings) -> None:
    """A full line is no answer for good: the repeat takes the file that had no room."""
    small = intake(settings, max_queue_size=2)
    first = send(create_app(small.settings, small).test_client(), body(*PICTURES) + END)
    assert [each.get("problem", {}).get("status") for each in first.get_json()["files"]] == [None, None, 429]
    again = send(client, body(*PICTURES) + END)
    assert "Idempotent-Replayed" not in again.headers
    assert ids(again)[:2] == ids(first)[:2]
    assert None not in ids(again)


def test_where_nothing_could_be_taken_the_batch_is_refused(client: FlaskClient, settings: Settings) -> None:
    """A 503 as a whole, not a 202 of nothing; and not for good."""
    folder = settings.stageline_data / "images"
    shutil.move(folder, folder.with_name("away"))
    refused = send(client, body(*PICTURES) + END)
    assert_problem(refused, 503, "folder")
    assert refused.headers["Retry-After"]
    shutil.move(folder.with_name("away"), folder)
    assert None not in ids(send(client, body(*PICTURES) + END))


def test_what_was_taken_is_kept_on_the_way(settings: Settings) -> None:
    """A batch that never comes to its end, as when its API is killed, is known as far as it came."""
    found = intake(settings)
    batch = batches.UploadBatch(found, Wanted(batch_id=make_id()), "")
    for number in range(batches.KEEP_AFTER):
        batch.take(Sent(JPEG + b"%d" % number, "a.jpg"))
    assert batches.state(found, batch.batch_id)["counts"] == {"submitted": batches.KEEP_AFTER}

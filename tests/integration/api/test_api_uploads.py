"""Taking pictures, on a whole line with real servers: options, keys that make it happen once, batches."""

import json
import subprocess
from pathlib import Path

import pytest

from grab_service.api.schemas.pictures import PictureStatus
from grab_service.api.schemas.uploads import Accepted, Batch, BatchAccepted
from stageline.broker.producer import Producer
from tests.support.api_line import STAGES, Api, ApiLine, until
from tests.support.picture_makers import all_kinds, encoded, scene

pytest_plugins = ["tests.support.api_fixtures"]
JPEG = all_kinds()["jpeg"]


def picture(number: int) -> bytes:
    """A picture unlike any other's."""
    return encoded(scene(), "JPEG") + b"%d" % number


def test_an_upload_waits_for_its_results(api: Api) -> None:
    """?wait answers 200 with the status at its end; without workers' end in time it is a 202."""
    found = api.ok("POST", "/upload?wait=60", PictureStatus, fields={"image": ("street.jpg", JPEG)})
    assert (found["status"], found["filename"]) == ("completed", "street.jpg")
    assert found["results"]["image_id"] == found["image_id"]
    assert found["processing_time"] > 0
    assert found["original_image_path"] == f"s3://images/original/{found['image_id']}.jpg"
    assert found["processed_image_path"] == f"s3://images/tagged/{found['image_id']}.jpg"
    assert set(found["detection_metadata"]) == {"count", "by_class", "faces"}
    assert found["detection_metadata"]["count"] == len(found["results"]["detections"])
    assert found["blur_metadata"]["regions"] == found["results"]["blurred_regions"]
    assert found["task_id"] == f"{found['image_id']}.1"


def test_an_upload_may_wait_for_process(api: Api) -> None:
    """?process=false: the line stops after detect, with the picture's kind known."""
    accepted = api.upload(JPEG, query="?process=false")
    found = api.ended(accepted["image_id"])
    assert (found["status"], found["kind"] in ("face", "object")) == ("waiting", True)
    states = {name: entry["state"] for name, entry in found["stages"].items()}
    after = STAGES.index("detect") + 1
    assert states == dict.fromkeys(STAGES[:after], "done") | dict.fromkeys(STAGES[after:], "waiting")


def test_curl_follows_a_picture(api: Api, tmp_path: Path) -> None:
    """One command: each stage as it happens, at the end the results and where the tagged picture is."""
    (tmp_path / "x.jpg").write_bytes(JPEG)
    said = subprocess.run(
        ["curl", "-sSN", "-F", f"image=@{tmp_path}/x.jpg", f"{api.url}/upload?follow=true"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    lines = [json.loads(line) for line in said.splitlines()]
    assert [line["event"] for line in (lines[0], lines[-1])] == ["accepted", "completed"]
    done = [line["stage"] for line in lines if line["event"] == "stage" and line["state"] == "done"]
    assert done == STAGES[1:]
    assert lines[-1]["results"]["status"] == "completed"
    tagged = lines[-1]["tagged_image"].removeprefix(api.url)
    assert api.call("GET", tagged).headers["Content-Type"] == "image/jpeg"


def test_the_same_picture_is_taken_once(api: Api) -> None:
    """?dedupe: 200 with the id that is there; without it, it is taken again."""
    first = api.upload(picture(1), query="?dedupe=true")
    again = api.ok("POST", "/upload?dedupe=true", Accepted, fields={"image": ("b.jpg", picture(1))})
    assert (again["image_id"], again["duplicate"]) == (first["image_id"], True)
    assert api.ended(first["image_id"])["status"] == "completed"
    assert api.ok("POST", "/upload?dedupe=true", Accepted, body=picture(1))["status"] == "completed"
    assert api.upload(picture(1))["image_id"] != first["image_id"]


def test_old_content_is_known_by_the_catalogue(whole: ApiLine) -> None:
    """After a day, when Redis has forgotten it, a duplicate is still one; that of a deleted picture is none."""
    data = picture(20)
    first = whole.api.upload(data)["image_id"]
    sha256 = whole.api.catalogued(first)["sha256"]
    forget = f"stageline:sha256:{sha256}"
    assert Producer(whole.settings.redis_url, 1).client.delete(forget) == 1
    again = whole.api.ok("POST", "/upload?dedupe=true", Accepted, body=data)
    assert (again["image_id"], again["duplicate"]) == (first, True)
    assert whole.api.call("DELETE", f"/image/{first}").status == 204
    assert whole.api.upload(data, query="?dedupe=true")["image_id"] != first


def test_a_key_makes_an_upload_happen_once(api: Api) -> None:
    """The same key with the same picture: the same answer, and no second picture; with another: 422."""
    key = {"Idempotency-Key": "one"}
    first = api.call("POST", "/upload", fields={"image": ("a.jpg", picture(2))}, headers=key)
    again = api.call("POST", "/upload", fields={"image": ("a.jpg", picture(2))}, headers=key)
    assert (first.status, first.json) == (again.status, again.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    for path, data in (("/upload", picture(3)), ("/upload?process=false", picture(2))):
        refused = api.refused("POST", path, 422, "another", fields={"image": ("a.jpg", data)}, headers=key)
        assert refused["errors"][0]["field"] == "Idempotency-Key"
    api.refused("POST", "/upload", 422, "Idempotency-Key", body=JPEG, headers={"Idempotency-Key": "a b"})


def test_an_answer_with_results_is_made_anew(whole: ApiLine) -> None:
    """The record of the key is small; a repeat returns the picture's status at that time, also a deletion."""
    fields, key = {"image": ("a.jpg", picture(21))}, {"Idempotency-Key": "results"}
    first = whole.api.ok("POST", "/upload?wait=60", PictureStatus, fields=fields, headers=key)
    image_id = first["image_id"]
    client = Producer(whole.settings.redis_url, 1).client
    (record,) = [name for name in client.keys("stageline:once:*") if client.hget(name, "id") == image_id.encode()]
    assert b"detections" not in client.hget(record, "answer")
    whole.api.call("POST", f"/process/{image_id}")
    whole.api.ended(image_id, run=2)
    again = whole.api.ok("POST", "/upload?wait=60", PictureStatus, fields=fields, headers=key)
    assert (again["image_id"], again["run"], again["results"]["run"]) == (image_id, 2, 2)
    assert whole.api.call("DELETE", f"/image/{image_id}").status == 204
    whole.api.refused("POST", "/upload?wait=60", 410, "deleted", fields=fields, headers=key)


def test_a_refused_upload_frees_its_key(api: Api) -> None:
    """A 4xx is not remembered: the key may be used for what should have been sent."""
    key = {"Idempotency-Key": "two"}
    api.refused("POST", "/upload", 415, body=b"nonsense", headers=key)
    api.ok("POST", "/upload", Accepted, 202, body=picture(4), headers=key)


def test_an_upload_that_broke_off_is_taken_over_under_its_id(whole: ApiLine) -> None:
    """While the first runs: 409; after its time is over, the same id goes on, so that nothing is there twice."""
    client, key = Producer(whole.settings.redis_url, 1).client, {"Idempotency-Key": "three"}
    first = whole.api.ok("POST", "/upload", Accepted, 202, body=picture(5), headers=key)
    (record,) = [
        name for name in client.keys("stageline:once:*") if client.hget(name, "id") == first["image_id"].encode()
    ]
    client.hdel(record, "answer")  # as a crash leaves it, between accepting and answering
    whole.api.refused("POST", "/upload", 409, "worked on", body=picture(5), headers=key)
    client.hset(record, "until", 0)
    again = whole.api.ok("POST", "/upload", Accepted, 202, body=picture(5), headers=key)
    assert again["image_id"] == first["image_id"]
    whole.api.ended(first["image_id"])
    client.delete(f"stageline:status:{first['image_id']}")  # as an hour does
    client.hdel(record, "answer")
    client.hset(record, "until", 0)
    again = whole.api.ok("POST", "/upload", Accepted, 202, body=picture(5), headers=key)
    assert again["image_id"] == first["image_id"]
    assert whole.api.ended(first["image_id"])["run"] == 1, "what had come to its end is not sent once more"
    assert client.zscore("stageline:moving", first["image_id"]) is None


def test_a_batch_is_taken_file_by_file(api: Api) -> None:
    """A bad file harms no other; each has its id or its problem; the batch has its status."""
    fields = [
        ("image", ("one.jpg", picture(6))), ("files", ("bad.jpg", b"<html>")), ("file", ("../two.jpg", picture(7))),
        ("images", ("empty.jpg", b"")), ("images", ("large.jpg", picture(8) + bytes(2_000_000))),
        ("other", ("no.jpg", picture(9))), ("files", ("three.png", all_kinds()["png"])),
    ]  # fmt: skip
    found = api.ok("POST", "/batch-upload", BatchAccepted, 202, fields=fields)
    assert (found["accepted"], found["refused"]) == (3, 3)
    assert [each["filename"] for each in found["files"]] == [
        "one.jpg", "bad.jpg", "two.jpg", "empty.jpg", "large.jpg", "three.png",
    ]  # fmt: skip
    problems = [each["problem"]["status"] for each in found["files"] if "problem" in each]
    assert problems == [415, 400, 413]
    path = f"/batch/{found['batch_id']}"
    stands = until(lambda: (answer := api.ok("GET", path, Batch))["done"] and answer)
    assert (stands["total"], stands["counts"]) == (6, {"completed": 3, "refused": 3})
    for each in found["files"]:
        if "image_id" in each:
            assert api.ended(each["image_id"])["batch_id"] == found["batch_id"]
    api.refused("GET", "/batch/nobody", 404, "nobody")


def test_a_batch_is_known_after_its_record_is_gone(whole: ApiLine) -> None:
    """After a day the catalogue still has it."""
    found = whole.api.ok("POST", "/batch-upload", BatchAccepted, 202, fields=[("image", ("one.jpg", picture(10)))])
    whole.api.catalogued(found["files"][0]["image_id"])
    assert Producer(whole.settings.redis_url, 1).client.delete(f"stageline:batch:{found['batch_id']}") == 1
    stands = whole.api.ok("GET", f"/batch/{found['batch_id']}", Batch)
    assert (stands["total"], stands["done"]) == (1, True)


def test_a_batch_happens_once_under_its_key(whole: ApiLine) -> None:
    """Sent again: the same answer; with another file: 422; after a crash the same ids."""
    key, path = {"Idempotency-Key": "batch"}, "/batch-upload"
    client = Producer(whole.settings.redis_url, 1).client
    fields = [("image", ("one.jpg", picture(11))), ("image", ("two.jpg", picture(12)))]
    first = whole.api.ok("POST", path, BatchAccepted, 202, fields=fields, headers=key)
    assert whole.api.ok("POST", path, BatchAccepted, 202, fields=fields, headers=key) == first
    whole.api.refused("POST", path, 422, "another", fields=fields[:1], headers=key)
    (record,) = [
        name for name in client.keys("stageline:once:*") if client.hget(name, "id") == first["batch_id"].encode()
    ]
    client.hdel(record, "answer")
    client.hset(record, "until", 0)
    again = whole.api.ok("POST", path, BatchAccepted, 202, fields=fields, headers=key)
    assert again["files"] == first["files"]


@pytest.mark.parametrize("body", [b"", b"--x--", b"--x\r\n\r\n\r\n--x--", b"nonsense"])
def test_a_form_without_a_file_is_no_batch(body: bytes, api: Api) -> None:
    """Nothing that could be taken is a 400 that says how to send."""
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    api.refused("POST", "/batch-upload", 400, "send a picture", body=body, headers=kind)


def test_a_batch_that_breaks_off_keeps_what_came(api: Api) -> None:
    """The files before the break are accepted, and the answer reports the break beside them."""
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="%s"\r\n\r\n'
    body = part % b"one.jpg" + picture(13) + b"\r\n" + part % b"two.jpg" + picture(14)[:100]
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    found = api.ok("POST", "/batch-upload", BatchAccepted, 202, body=body, headers=kind)
    assert (found["accepted"], found["refused"]) == (1, 1)
    assert found["files"][1]["problem"]["status"] == 400


@pytest.mark.parametrize(
    ("query", "field"),
    [("process=maybe", "process"), ("wait=61", "wait"), ("wait=-1", "wait"), ("wait=1.5", "wait"), ("wait=", "wait"),
     ("follow=1", "follow"), ("dedupe=TRUE", "dedupe"), ("colour=red", "colour"), ("wait=1&wait=2", "wait"),
     ("filename=" + "x" * 5000, "filename")],
)  # fmt: skip
def test_wrong_parameters_are_named(query: str, field: str, api: Api) -> None:
    """Each is a 422 that names the field, before the body is looked at."""
    refused = api.refused("POST", f"/upload?{query}", 422, field, body=b"nonsense")
    assert [error["field"] for error in refused["errors"]] == [field]

"""Running pictures again, sending them on, deleting them: on a whole line with real servers."""

import json

import pytest

from grab_service.api.schemas.line import Replays
from grab_service.api.schemas.pictures import Ledger, PictureStatus, TaskAnswer
from grab_service.api.schemas.uploads import Processing
from stageline.broker.producer import Producer
from stageline.pipeline.message import FOLDERS
from stageline.store import ObjectStore
from stageline.store.base import StoredObject
from tests.support.api_line import JPEG, STAGES, UNKNOWN, Api, ApiLine, completed, until

pytest_plugins = ["tests.support.api_fixtures"]


@pytest.fixture
def failed(api: Api, line_bucket: ObjectStore) -> str:
    """A picture that failed at classify: its original was damaged while it waited; it is whole again."""
    image_id = api.upload(JPEG, query="?process=false")["image_id"]
    api.ended(image_id)
    line_bucket.put(StoredObject(f"original/{image_id}.jpg", b"no picture", "image/jpeg"))
    api.ok("POST", f"/process/{image_id}", Processing, 202)
    assert api.ended(image_id, run=2)["status"] == "failed"
    line_bucket.put(StoredObject(f"original/{image_id}.jpg", JPEG, "image/jpeg"))
    return image_id


def test_a_failed_picture_says_why_and_is_replayed(api: Api, failed: str) -> None:
    """Ledger, task and status name the stage and the reason; POST /dead/replay makes it whole."""
    status = api.ok("GET", f"/status/{failed}", PictureStatus)
    assert (status["failed_stage"], "picture" in status["reason"]) == ("classify", True)
    ledger = api.ok("GET", f"/ledger/{failed}", Ledger)
    entry = next(each for each in ledger["stages"] if each["stage"] == "classify")
    assert (entry["state"], entry["reason"]) == ("failed", status["reason"])
    task = api.ok("GET", f"/task/{failed}.2", TaskAnswer)
    assert (task["status"], task["from"], task["reason"]) == ("failed", "classify", status["reason"])
    assert [(step["stage"], step["state"]) for step in task["history"]] == [("classify", "failed")]
    asked = json.dumps({"image_ids": [failed, UNKNOWN]})
    headers = {"Content-Type": "application/json"}
    found = api.ok("POST", "/dead/replay", Replays, body=asked, headers=headers)
    assert found["replayed"] == [{"image_id": failed, "task_id": f"{failed}.3"}]
    assert [each["image_id"] for each in found["refused"]] == [UNKNOWN]
    assert api.ended(failed, run=3)["status"] == "completed"
    again = api.ok("POST", "/dead/replay", Replays, body=json.dumps({"all": True}), headers=headers)
    assert failed not in [each["image_id"] for each in again["replayed"]]


def test_a_failed_picture_is_processed_again(api: Api, failed: str) -> None:
    """POST /process does as well, and leaves no dead letter behind."""
    assert api.ok("POST", f"/process/{failed}?from=resize", Processing, 202)["from"] == "resize"
    assert api.ended(failed, run=3)["status"] == "completed"
    headers = {"Content-Type": "application/json"}
    asked = json.dumps({"image_ids": [failed]})
    assert api.ok("POST", "/dead/replay", Replays, body=asked, headers=headers)["replayed"] == []


def test_a_waiting_picture_is_sent_on(api: Api) -> None:
    """It goes on where it waits, as its second task; each task has its own history."""
    image_id = api.upload(JPEG, query="?process=false")["image_id"]
    assert api.ended(image_id)["status"] == "waiting"
    sent = api.ok("POST", f"/process/{image_id}", Processing, 202)
    assert (sent["task_id"], sent["run"], sent["from"]) == (f"{image_id}.2", 2, "classify")
    assert api.ended(image_id, run=2)["status"] == "completed"
    tasks = [api.ok("GET", f"/task/{image_id}.{run}", TaskAnswer) for run in (1, 2)]
    assert [task["status"] for task in tasks] == ["waiting", "completed"]
    assert [[step["stage"] for step in task["history"]] for task in tasks] == [STAGES[:4], STAGES[4:]]
    for task_id in (f"{image_id}.3", f"{image_id}.0", f"{image_id}", "x.1", f"{image_id}.99999999999"):
        api.refused("GET", f"/task/{task_id}", 404, "task_id")


@pytest.mark.parametrize("stage", STAGES[1:])
def test_a_picture_is_run_again_from_any_stage(stage: str, api: Api) -> None:
    """From each stage's input, which the folders have; what it made before is made again."""
    image_id = completed(api)
    assert api.ok("POST", f"/process/{image_id}?from={stage}", Processing, 202)["from"] == stage
    api.refused("POST", f"/process/{image_id}?from=grab", 422, "from")
    found = api.ended(image_id, run=2)
    assert (found["status"], found["run"]) == ("completed", 2)
    assert [each["run"] for name, each in found["stages"].items() if name != "grab"] == [
        2 if STAGES.index(name) >= STAGES.index(stage) else 1 for name in STAGES[1:]
    ]


def test_the_error_says_why_a_picture_cannot_be_run(api: Api, line_bucket: ObjectStore) -> None:
    """Without its input: 409 that names the first stage that can; unknown ones 404."""
    image_id = completed(api)
    line_bucket.delete(f"grayscale/{image_id}.jpg")
    api.refused("POST", f"/process/{image_id}?from=detect", 409, "resize")
    line_bucket.delete(f"original/{image_id}.jpg")
    api.refused("POST", f"/process/{image_id}", 409, "gone")
    api.refused("POST", f"/process/{UNKNOWN}", 404)


def test_a_lost_picture_is_known_and_run_again(whole: ApiLine, line_bucket: ObjectStore) -> None:
    """Redis lost its data, and there are no results: the catalogue has its row, and its original is stored."""
    api, image_id = whole.api, completed(whole.api)
    api.catalogued(image_id)
    line_bucket.delete(f"results/{image_id}.json")
    assert Producer(whole.settings.redis_url, 1).client.delete(f"stageline:status:{image_id}") == 1
    assert api.ok("GET", f"/status/{image_id}", PictureStatus)["status"] == "completed"
    assert api.ok("POST", f"/process/{image_id}", Processing, 202)["run"] == 2
    assert api.ended(image_id, run=2)["results"]["run"] == 2


def test_a_picture_is_deleted_with_all_that_was_made_of_it(whole: ApiLine, line_bucket: ObjectStore) -> None:
    """Objects, status, rows: nothing is left, and it is unknown; the dead letters go, too."""
    api, image_id = whole.api, completed(whole.api)
    api.catalogued(image_id)
    assert api.call("DELETE", f"/image/{image_id}").status == 204
    assert [key for folder in FOLDERS for key in line_bucket.keys(f"{folder}/{image_id}.")] == []
    for path in (f"/status/{image_id}", f"/image/{image_id}", f"/ledger/{image_id}", f"/task/{image_id}.1"):
        api.refused("GET", path, 404)
    api.refused("POST", f"/process/{image_id}", 404)
    until(lambda: image_id not in api.call("GET", "/images?limit=200").data.decode())
    api.refused("DELETE", f"/image/{UNKNOWN}", 404)
    api.refused("DELETE", "/image/a.jpg", 404)


def test_a_failed_picture_is_deleted_with_its_dead_letter(api: Api, failed: str) -> None:
    """It cannot come back by a replay."""
    assert api.call("DELETE", f"/image/{failed}").status == 204
    assert failed not in api.call(
        "POST", "/dead/replay", body=b'{"all": true}', headers={"Content-Type": "application/json"}
    ).data.decode()  # fmt: skip


def test_pictures_on_their_way_leave_nothing_behind(api: Api, line_bucket: ObjectStore) -> None:
    """Deleted at once after they were accepted, wherever they are by then: no object remains."""
    ids = [api.upload(JPEG)["image_id"] for _ in range(8)]
    for image_id in ids:
        assert api.call("DELETE", f"/image/{image_id}").status == 204
    last = completed(api)
    until(lambda: api.call("GET", "/queue-status").json["unfinished"] == 0)
    left = {
        key for folder in FOLDERS for key in line_bucket.keys(f"{folder}/") if key.split("/")[1].split(".")[0] in ids
    }
    until(lambda: not [key for key in left if _is_there(line_bucket, key)])
    assert _is_there(line_bucket, f"tagged/{last}.jpg")


def _is_there(store: ObjectStore, key: str) -> bool:
    return key in set(store.keys(key))

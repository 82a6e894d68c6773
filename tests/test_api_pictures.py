"""Asking for pictures, running them again, deleting them: on a whole line with real servers."""

import hashlib
import json
from urllib.parse import quote

import pytest
from api_line import Api, ApiLine, until
from picture_makers import all_kinds, encoded, scene

from grab_service.schemas.line import Faces, Health, Models, Replays, Stats
from grab_service.schemas.pictures import Ledger, Pictures, PictureStatus, TaskAnswer
from grab_service.schemas.uploads import Processing
from stageline.message import FOLDERS
from stageline.queue import Door
from stageline.stage import StoredObject
from stageline.store import ObjectStore, hot_cache, open_store

pytest_plugins = ["api_fixtures"]
JPEG = all_kinds()["jpeg"]
STAGES = ["grab", "resize", "grayscale", "detect", "classify", "tag"]
UNKNOWN = "01J00000000000000000000000"


@pytest.fixture
def store(whole: ApiLine, monkeypatch) -> ObjectStore:
    """The line's bucket, behind the line's cache."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 60.0)  # else a slow answer is none, and workers read an old copy
    monkeypatch.setattr(hot_cache, "CONNECT_SECONDS", 60.0)
    return open_store(whole.settings)


@pytest.fixture
def failed(api: Api, store: ObjectStore) -> str:
    """A picture that failed at classify: its original was damaged while it waited; it is whole again."""
    image_id = api.upload(JPEG, query="?process=false")["image_id"]
    api.ended(image_id)
    store.put(StoredObject(f"original/{image_id}.jpg", b"no picture", "image/jpeg"))
    api.ok("POST", f"/process/{image_id}", Processing, 202)
    assert api.ended(image_id, run=2)["status"] == "failed"
    store.put(StoredObject(f"original/{image_id}.jpg", JPEG, "image/jpeg"))
    return image_id


def completed(api: Api, name: str = "a.jpg") -> str:
    """The id of a picture that came to the end."""
    image_id = str(api.upload(JPEG, name)["image_id"])
    assert api.ended(image_id)["status"] == "completed"
    return image_id


def test_pictures_are_found_by_filename_newest_first(whole: ApiLine) -> None:
    """Status, image, ledger and process take a name: Redis knows the last hour's, the catalogue all."""
    api, name = whole.api, "straße & so.jpg"
    completed(api, name)
    newest = completed(api, name)
    api.catalogued(newest)
    for _ in range(2):
        assert api.ok("GET", f"/status/{quote(name)}", PictureStatus)["image_id"] == newest
        assert api.call("GET", f"/image/{quote(name)}").data == JPEG
        assert api.ok("GET", f"/ledger/{quote(name)}", Ledger)["image_id"] == newest
        Door(whole.settings.redis_url, 1).client.delete(f"stageline:named:{name}")
    assert api.ok("POST", f"/process/{quote(name)}", Processing, 202)["image_id"] == newest


def test_the_ledger_names_what_each_stage_did(api: Api, store: ObjectStore) -> None:
    """State, attempt, worker, duration, keys; sizes and ETags are those of the bytes."""
    image_id = completed(api)
    found = api.ok("GET", f"/ledger/{image_id}", Ledger)
    assert [each["stage"] for each in found["stages"]] == STAGES
    for each in found["stages"]:
        assert (each["state"], each["attempt"]) == ("done", 1)
        assert each["worker"]
        assert each["started"] <= each["finished"]
        for item in each["objects"]:
            data = store.get(item["key"])
            assert (item["size"], item["etag"]) == (len(data), hashlib.md5(data).hexdigest())
    keys = {item["key"].partition("/")[0] for each in found["stages"] for item in each["objects"]}
    assert {"original", "resized", "grayscale", "tagged", "blurred"} <= keys


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
    """It goes on where it waits, as its second task; both tasks tell their own history."""
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


def test_what_cannot_be_run_is_told(api: Api, store: ObjectStore) -> None:
    """Without its input: 409 that names the first stage that can; unknown ones 404."""
    image_id = completed(api)
    store.delete(f"grayscale/{image_id}.jpg")
    api.refused("POST", f"/process/{image_id}?from=detect", 409, "resize")
    store.delete(f"original/{image_id}.jpg")
    api.refused("POST", f"/process/{image_id}", 409, "gone")
    api.refused("POST", f"/process/{UNKNOWN}", 404)


def test_a_lost_picture_is_known_and_run_again(whole: ApiLine, store: ObjectStore) -> None:
    """Redis lost its data, and there are no results: the catalogue tells of it, and its original is there."""
    api, image_id = whole.api, completed(whole.api)
    api.catalogued(image_id)
    store.delete(f"results/{image_id}.json")
    assert Door(whole.settings.redis_url, 1).client.delete(f"stageline:status:{image_id}") == 1
    assert api.ok("GET", f"/status/{image_id}", PictureStatus)["status"] == "completed"
    assert api.ok("POST", f"/process/{image_id}", Processing, 202)["run"] == 2
    assert api.ended(image_id, run=2)["results"]["run"] == 2


def test_a_picture_is_deleted_with_all_that_was_made_of_it(whole: ApiLine, store: ObjectStore) -> None:
    """Objects, status, rows: nothing is left, and it is unknown; the dead letters go, too."""
    api, image_id = whole.api, completed(whole.api)
    api.catalogued(image_id)
    assert api.call("DELETE", f"/image/{image_id}").status == 204
    assert [key for folder in FOLDERS for key in store.keys(f"{folder}/{image_id}.")] == []
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


def test_pictures_on_their_way_leave_nothing_behind(api: Api, store: ObjectStore) -> None:
    """Deleted at once after they were accepted, wherever they are by then: no object remains."""
    ids = [api.upload(JPEG)["image_id"] for _ in range(8)]
    for image_id in ids:
        assert api.call("DELETE", f"/image/{image_id}").status == 204
    last = completed(api)
    until(lambda: api.call("GET", "/queue-status").json["unfinished"] == 0)
    left = {key for folder in FOLDERS for key in store.keys(f"{folder}/") if key.split("/")[1].split(".")[0] in ids}
    until(lambda: not [key for key in left if _is_there(store, key)])
    assert _is_there(store, f"tagged/{last}.jpg")


def _is_there(store: ObjectStore, key: str) -> bool:
    return key in set(store.keys(key))


def test_pages_are_steady_while_pictures_arrive(api: Api) -> None:
    """Every picture that was there comes once, newest first, whatever arrives between two pages."""
    there = [completed(api, "page.jpg") for _ in range(5)]
    api.catalogued(there[-1])
    seen, cursor = [], ""
    while True:
        page = api.ok("GET", f"/images?limit=2&filename=page.jpg{cursor}", Pictures)
        seen += [image["image_id"] for image in page["images"]]
        if page["next_cursor"] is None:
            break
        api.catalogued(completed(api, "page.jpg"))
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == there[::-1]


def test_pictures_are_filtered(api: Api) -> None:
    """By status, kind, category and time; each row has its links."""
    image_id = completed(api)
    row = api.catalogued(image_id)
    assert api.call("GET", row["links"]["tagged"]).headers["Content-Type"] == "image/jpeg"
    kind, at = row["kind"], row["uploaded_at"]
    for query, there in (
        ("status=completed", True), ("status=failed", False), (f"kind={kind}", True), (f"since={at}", True),
        (f"until={at}", False), ("filename=a.jpg", True), ("filename=A.JPG", False), ("category=unicorn", False),
        ("category=jack-o%27-lantern", False), ("filename=%27%20OR%201=1--", False),
    ):  # fmt: skip
        page = api.ok("GET", f"/images?limit=200&{query}", Pictures)
        assert (image_id in [image["image_id"] for image in page["images"]]) == there, query
    for category in row["categories"]:
        page = api.ok("GET", f"/images?limit=200&category={quote(category['category'])}", Pictures)
        assert image_id in [image["image_id"] for image in page["images"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=201", "limit"), ("limit=1000000", "limit"), ("limit=ten", "limit"),
     ("limit=1e9", "limit"), ("cursor=nonsense", "cursor"), ("cursor=" + "x" * 1000, "cursor"),
     ("status=' OR 1=1 --", "status"), ("kind=cat", "kind"), ("since=yesterday", "since"), ("category=%00", "category"),
     ("category=dog%27%20OR%201=1--", "category"), ("category=" + "x" * 200, "category"),
     ("since=2026-11-21T14:00:00", "since"), ("since=0001-01-01T00:00:00%2B14:00", "since"), ("filename=", "filename"),
     ("filename=%00", "filename"), ("offset=10", "offset"), ("limit=1&limit=2", "limit")],
)  # fmt: skip
def test_bad_pages_are_refused_with_a_sentence(query: str, field: str, api: Api) -> None:
    """Each names its field."""
    refused = api.refused("GET", f"/images?{query.replace(' ', '%20')}", 422, field)
    assert [error["field"] for error in refused["errors"]] == [field]


def test_the_line_in_figures(api: Api) -> None:
    """Stats, models, health: what they count and name is there."""
    completed(api)
    stats = api.ok("GET", "/stats?minutes=60", Stats)
    assert stats["completed"] >= 1
    assert 0 < stats["success_rate"] <= 1
    assert stats["latency_seconds"]["p50"] <= stats["latency_seconds"]["p99"]
    assert [each["done"] >= 1 and each["workers"] == 1 for each in stats["stages"].values()] == [True] * 5
    assert len(stats["series"]) == 60
    assert until(lambda: (api.ok("GET", "/stats", Stats)["catalogue"] or {}).get("completed"))
    until(lambda: not api.ok("GET", "/health", Health)["problems"])  # the cache may have answered late just now
    assert api.ok("GET", "/health", Health)["workers"]["detect"] == 1
    models = {model["name"]: model for model in api.ok("GET", "/models", Models)["models"]}
    assert models["yolox-nano"]["serving"] == "yolox-nano@0.1.1-1"
    assert models["yolox-nano"]["card"]["licence"] == "Apache-2.0"
    assert (models["resnet18-imagenet"]["installed"], "stageline" in models["resnet18-imagenet"]["how_to_get"]) == (
        False, True,
    )  # fmt: skip
    for query in ("minutes=0", "minutes=61", "minutes=x", "hours=1"):
        api.refused("GET", f"/stats?{query}", 422)


def test_the_nearest_faces_are_found(whole: ApiLine, data_dir, store: ObjectStore) -> None:
    """By a picture that the line knows, and by one that is only looked at, of which nothing remains."""
    api = whole.api
    pictures = {name: (data_dir / "faces" / f"{name}.jpg").read_bytes() for name in ("paul_rudd", "kate_siegel")}
    ids = {name: api.upload(data, f"{name}.jpg")["image_id"] for name, data in pictures.items()}
    for image_id in ids.values():
        api.ended(image_id)
        until(lambda image_id=image_id: api.catalogued(image_id)["faces"])
    headers = {"Content-Type": "application/json"}
    asked = json.dumps({"image_id": ids["paul_rudd"]})
    known = api.ok("POST", "/faces/search", Faces, body=asked, headers=headers)
    assert known["model"] == "facenet-vggface2@1"
    assert (ids["paul_rudd"], 0) not in [(each["image_id"], each["face"]) for each in known["faces"]]
    assert ids["kate_siegel"] in [each["image_id"] for each in known["faces"]]
    near = [each["similarity"] for each in known["faces"]]
    assert near == sorted(near, reverse=True)
    probe = api.ok("POST", "/faces/search?limit=1", Faces, fields={"image": ("x.jpg", pictures["paul_rudd"])})
    assert [each["image_id"] for each in probe["faces"]] == [ids["paul_rudd"]]
    assert probe["faces"][0]["similarity"] > 0.999
    assert [key for folder in FOLDERS for key in store.keys(f"{folder}/probe-")] == []
    assert "probe-" not in api.call("GET", "/images?limit=200").data.decode()
    asked = json.dumps({"image_id": ids["paul_rudd"], "face": 99})
    assert api.refused("POST", "/faces/search", 422, body=asked, headers=headers)["errors"][0]["field"] == "face"
    api.refused("POST", "/faces/search", 404, body=json.dumps({"image_id": UNKNOWN}), headers=headers)
    blank = encoded(scene(), "JPEG")
    api.refused("POST", "/faces/search", 422, "no face", fields={"image": ("x.jpg", blank)})


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"all": 1}', b'{"image_ids": []}', b"{}", b"\xff",
                                  b'{"all": true, "image_ids": ["x"]}', b'{"image_ids": [1]}', b"[" * 100_000,
                                  b'{"all": true, "more": 1}', b'{"all": NaN}'])  # fmt: skip
def test_bad_json_is_refused(body: bytes, api: Api) -> None:
    """A 422 that says what is wrong; another content type is a 415."""
    api.refused("POST", "/dead/replay", 422, body=body, headers={"Content-Type": "application/json"})
    api.refused("POST", "/dead/replay", 415, "application/json", body=body, headers={"Content-Type": "text/plain"})


@pytest.mark.parametrize(
    "path",
    ["/status/..%2f..%2fetc%2fpasswd", "/image/%2e%2e", "/ledger/a%00", "/task/..%2f.1", "/batch/..%2fx",
     "/events/a%0ab", "/process/..%5c", "/docs/..%2fx", "/page/..%2fapp.py"],
)  # fmt: skip
def test_ids_that_walk_are_refused(path: str, api: Api) -> None:
    """No path leads out of where it belongs."""
    api.refused("POST" if path.startswith("/process") else "GET", path, 404)

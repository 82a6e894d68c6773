"""Asking for pictures, their lists, faces and figures: on a whole line with real servers."""

import hashlib
import json
from urllib.parse import quote

import pytest

from grab_service.api.schemas.line import Faces, Health, Models, Stats
from grab_service.api.schemas.pictures import Ledger, Pictures, PictureStatus
from grab_service.api.schemas.uploads import Processing
from stageline.broker.producer import Producer
from stageline.pipeline.message import FOLDERS
from stageline.store import ObjectStore
from tests.support.api_line import JPEG, STAGES, UNKNOWN, Api, ApiLine, completed, until
from tests.support.picture_makers import encoded, scene

pytest_plugins = ["tests.support.api_fixtures"]


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
        Producer(whole.settings.redis_url, 1).client.delete(f"stageline:named:{name}")
    assert api.ok("POST", f"/process/{quote(name)}", Processing, 202)["image_id"] == newest


def test_the_history_names_what_each_stage_did(api: Api, line_bucket: ObjectStore) -> None:
    """State, attempt, worker, duration, keys; sizes and ETags are those of the bytes."""
    image_id = completed(api)
    found = api.ok("GET", f"/ledger/{image_id}", Ledger)
    assert [each["stage"] for each in found["stages"]] == STAGES
    for each in found["stages"]:
        assert (each["state"], each["attempt"]) == ("done", 1)
        assert each["worker"]
        assert each["started"] <= each["finished"]
        for item in each["objects"]:
            data = line_bucket.get(item["key"])
            assert (item["size"], item["etag"]) == (len(data), hashlib.md5(data).hexdigest())
    keys = {item["key"].partition("/")[0] for each in found["stages"] for item in each["objects"]}
    assert {"original", "resized", "grayscale", "tagged", "blurred"} <= keys


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


def test_the_nearest_faces_are_found(whole: ApiLine, data_dir, line_bucket: ObjectStore) -> None:
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
    assert [key for folder in FOLDERS for key in line_bucket.keys(f"{folder}/probe-")] == []
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

"""What the API says while a server is away: those that need it answer 503 with a sentence, the others go on."""

import json

import pytest

from grab_service.api.schemas.common import Problem
from grab_service.api.schemas.line import Health, Stats
from grab_service.api.schemas.pictures import PictureStatus
from tests.support.api_line import Api, ApiLine, until
from tests.support.picture_makers import all_kinds

pytest_plugins = ["tests.support.api_fixtures"]
JPEG = all_kinds()["jpeg"]


@pytest.fixture
def image_id(api: Api) -> str:
    """A picture that came to the end, and is in the catalogue."""
    found = api.upload(JPEG)["image_id"]
    api.ended(found)
    api.catalogued(found)
    return str(found)


def test_without_the_catalogue_the_line_goes_on(whole: ApiLine, image_id: str) -> None:
    """Uploads, status, pictures, stages go on; pages, names and faces say that it is away; then it catches up."""
    api, headers = whole.api, {"Content-Type": "application/json"}
    whole.postgres.kill()
    try:
        during = api.upload(JPEG, "during.jpg")["image_id"]
        assert api.ended(during)["status"] == "completed"
        own = (f"/status/{image_id}", f"/image/{image_id}?stage=tagged", f"/ledger/{image_id}", f"/task/{image_id}.1")
        for path in (*own, "/status/during.jpg", "/queue-status", "/readyz", "/models"):
            assert api.call("GET", path).status == 200, path
        api.refused("GET", "/status/01J00000000000000000000000", 404)
        api.refused("GET", "/status/older.jpg", 503, "DATABASE_URL")
        api.refused("GET", "/images", 503, "DATABASE_URL")
        api.refused("GET", "/batch/01J00000000000000000000000", 503, "DATABASE_URL")
        asked = json.dumps({"image_id": image_id})
        assert api.call("POST", "/faces/search", body=asked, headers=headers).status in (422, 503)
        health = api.ok("GET", "/health", Health)
        assert (health["status"], health["checks"]["redis"]) == ("degraded", "ok")
        assert any("DATABASE_URL" in problem for problem in health["problems"])
    finally:
        whole.postgres.start()
    assert api.catalogued(during)["filename"] == "during.jpg"
    assert until(lambda: api.ok("GET", "/health", Health)["status"] == "ready")


def test_without_redis_everything_that_needs_it_says_so(whole: ApiLine, image_id: str) -> None:
    """503 with Retry-After and a sentence; pages go on as the catalogue knows them; afterwards all is well."""
    api = whole.api
    whole.redis.kill()
    try:
        for method, path in (
            ("POST", "/upload"), ("GET", f"/status/{image_id}"), ("GET", f"/ledger/{image_id}"), ("GET", "/stats"),
            ("DELETE", f"/image/{image_id}"), ("POST", f"/process/{image_id}"), ("GET", f"/events/{image_id}"),
            ("POST", "/upload?wait=5"), ("POST", "/upload?follow=true"),
        ):  # fmt: skip
            answer = api.call(method, path, body=JPEG if path.startswith("/upload") else None)
            assert answer.status == 503, (path, answer)
            Problem.model_validate(answer.json)
            assert ("REDIS_URL" in answer.json["detail"], answer.headers["Retry-After"]) == (True, "5")
        assert image_id in [image["image_id"] for image in api.call("GET", "/images").json["images"]]
        health = api.call("GET", "/health")
        assert (health.status, health.json["status"]) == (503, "unavailable")
        assert api.call("GET", "/healthz").status == 200
    finally:
        whole.redis.start()
    until(lambda: api.call("GET", "/readyz").status == 200)
    assert api.ended(image_id)["status"] == "completed"


def test_without_the_store_pictures_cannot_be_taken_or_shown(whole: ApiLine, image_id: str) -> None:
    """503 names the store; queues and figures go on."""
    api = whole.api
    moving = api.ok("GET", f"/status/{image_id}", PictureStatus)
    whole.minio.kill()
    try:
        api.refused("POST", "/upload", 503, "MINIO_ENDPOINT", "may not have been accepted", body=JPEG)
        api.refused("GET", f"/ledger/{image_id}", 503, "MINIO_ENDPOINT")
        api.refused("POST", "/batch-upload", 503, "MINIO_ENDPOINT", fields=[("image", ("a.jpg", JPEG))])
        api.ok("GET", "/stats", Stats)
        assert api.call("GET", "/images").status == api.call("GET", "/queue-status").status == 200
    finally:
        whole.minio.start()
    until(lambda: api.call("GET", "/readyz").status == 200)
    assert api.ok("GET", f"/status/{image_id}", PictureStatus) == moving


def test_without_the_cache_nothing_is_missed(whole: ApiLine, image_id: str) -> None:
    """Health says that it is away; everything is served from the store."""
    whole.cache.kill()
    try:
        assert whole.api.call("GET", f"/image/{image_id}").data == JPEG
        another = whole.api.upload(JPEG)["image_id"]
        assert whole.api.ended(another)["status"] == "completed"
        assert whole.api.ok("GET", "/health", Health)["status"] == "degraded"
        assert whole.api.call("DELETE", f"/image/{another}").status == 204
    finally:
        whole.cache.start()

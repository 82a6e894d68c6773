"""A whole line on a real Redis, MinIO and PostgreSQL, as the tests of the API share it, and a client that checks."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import urllib3
from pydantic import BaseModel

from grab_service.api.schemas.common import Problem
from grab_service.api.schemas.pictures import PictureStatus
from grab_service.api.schemas.uploads import Accepted
from stageline.catalogue.engine import open_engine
from stageline.catalogue.reader import Catalogue
from stageline.core.errors import Unavailable
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.registry.repository import Repository
from stageline.store import FolderStore
from tests.chaos.api_client import Answer
from tests.support.picture_makers import all_kinds
from tests.support.running_line import RunningLine
from tests.support.servers import MinioServer, PostgresServer, RedisServer
from tests.support.serving import served
from tests.support.tiny_embedder import cells

TIMEOUT = 90.0  # seconds for what must come; nothing is asserted of how soon
ENDED = ("completed", "failed", "waiting")
JPEG = all_kinds()["jpeg"]
STAGES = ["grab", *(stage.name for stage in line.LINE)]
UNKNOWN = "01J00000000000000000000000"
Found = TypeVar("Found")


class Api:
    """A client of a line's API."""

    def __init__(self, url: str, catalogue: Catalogue) -> None:
        self.url = url
        self._catalogue = catalogue
        self._http = urllib3.PoolManager(retries=False, timeout=TIMEOUT)

    def call(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request."""
        answer = self._http.request(method, self.url + path, **more)
        return Answer(answer.status, answer.headers, answer.data)

    def ok(self, method: str, path: str, model: type[BaseModel], status: int = 200, **more: Any) -> Any:
        """Send a request whose answer is that status, and what the model describes."""
        answer = self.call(method, path, **more)
        assert answer.status == status, answer
        model.model_validate(answer.json)
        return answer.json

    def refused(self, method: str, path: str, status: int, *words: str, **more: Any) -> Any:
        """Send a request that is answered with a problem, whose sentence has these words."""
        answer = self.call(method, path, **more)
        assert answer.status == status, answer
        assert answer.headers["Content-Type"] == "application/problem+json"
        Problem.model_validate(answer.json)
        assert answer.json["status"] == status
        for word in words:
            assert word in answer.json["detail"], answer.json
        return answer.json

    def upload(self, data: bytes, name: str = "a.jpg", query: str = "", **headers: str) -> dict[str, Any]:
        """Upload a picture as a form."""
        fields = {"image": (name, data)}
        found: dict[str, Any] = self.ok("POST", f"/upload{query}", Accepted, 202, fields=fields, headers=headers)
        return found

    def ended(self, image_id: str, run: int = 1) -> dict[str, Any]:
        """Wait until a picture has come to the end of that run."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ok("GET", f"/status/{image_id}", PictureStatus)
            return found if found["status"] in ENDED and found["run"] >= run else None

        return until(look)

    def catalogued(self, image_id: str) -> dict[str, Any]:
        """Wait until the catalogue itself, which may just be coming back, has a picture's end; return its row."""

        def look() -> dict[str, Any] | None:
            try:
                row = self._catalogue.picture(image_id)
            except Unavailable:
                return None
            if not (row or {}).get("completed_at"):
                return None
            answer = self.call("GET", "/images?limit=200")
            if answer.status == 503:
                return None
            return next((row for row in answer.json["images"] if row["image_id"] == image_id), None)

        return until(look)


class ApiLine(NamedTuple):
    """A line, its client, and the servers below it."""

    api: Api
    line: RunningLine
    redis: RedisServer
    cache: RedisServer
    minio: MinioServer
    postgres: PostgresServer
    settings: Settings


def until(look: Callable[[], Found | None]) -> Found:
    """Wait for what must come."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


def completed(api: Api, name: str = "a.jpg") -> str:
    """Send a picture, and return its id when it came to the end."""
    image_id = str(api.upload(JPEG, name)["image_id"])
    assert api.ended(image_id)["status"] == "completed"
    return image_id


@contextmanager
def api_line(folder: Path, models_dir: Path) -> Iterator[ApiLine]:
    """Start one, with a tiny network for faces among its models."""
    models = folder / "models"
    shutil.copytree(models_dir, models)
    repository = Repository(FolderStore(models))
    repository.publish(cells())
    repository.promote("facenet-vggface2", "1")
    with (
        served(RedisServer(folder / "redis")) as redis,
        served(RedisServer(folder / "cache", ["--appendonly", "no"])) as cache,
        served(MinioServer(folder / "minio")) as minio,
        served(PostgresServer(folder / "postgres")) as postgres,
    ):
        environment = {
            "REDIS_URL": redis.url, "CACHE_URL": cache.url, "MODELS_DIR": str(models),
            "DATABASE_URL": postgres.create_database("catalogue"),
            "MINIO_ENDPOINT": minio.endpoint, "MINIO_ACCESS_KEY": minio.access_key,
            "MINIO_SECRET_KEY": minio.secret_key, "RETRY_BASE_SECONDS": "0.1", "MAX_UPLOAD_BYTES": "2000000",
        }  # fmt: skip
        line = RunningLine(folder / "line", environment)
        try:
            line.start()
            found = Settings(**{name.lower(): value for name, value in environment.items()})
            api = Api(f"http://127.0.0.1:{line.port}", Catalogue(open_engine(found)))
            yield ApiLine(api, line, redis, cache, minio, postgres, found)
        finally:
            line.kill()

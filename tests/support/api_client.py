"""What the tests of the API share."""

import io
import json
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from werkzeug.test import TestResponse

from stageline.broker.producer import Producer
from stageline.catalogue.engine import FILE, open_engine
from stageline.catalogue.migrate import migrate
from stageline.core.settings import Settings
from stageline.pipeline.message import Message
from tests.support.picture_makers import all_kinds

KINDS = all_kinds()
JPEG = KINDS["jpeg"]


@lru_cache(maxsize=1)
def _empty_catalogue() -> bytes:
    """A migrated database with nothing in it."""
    with TemporaryDirectory() as folder:
        found = Settings(stageline_data=Path(folder))
        engine = open_engine(found)
        migrate(engine)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.dispose()
        return (Path(folder) / FILE).read_bytes()


def with_catalogue(settings: Settings) -> Settings:
    """The settings, with an empty catalogue below their folder."""
    settings.stageline_data.mkdir(parents=True, exist_ok=True)
    (settings.stageline_data / FILE).write_bytes(_empty_catalogue())
    return settings


def limits(settings: Settings, **more: Any) -> Settings:
    """The settings with others among them."""
    return settings.model_copy(update=more)


def form(data: bytes, name: str = "a.jpg", field: str = "image") -> dict[str, Any]:
    """A multipart upload for the test client."""
    return {"data": {field: (io.BytesIO(data), name)}, "content_type": "multipart/form-data"}


def queued(settings: Settings) -> list[Message]:
    """What waits for the first stage."""
    return [Message.decode(raw) for raw in Producer(settings.redis_url, 1).client.lrange("resize_queue", 0, -1)]


def assert_problem(answer: TestResponse, status: int, *words: str) -> None:
    """An error as RFC 9457 wants it, with a sentence."""
    assert answer.status_code == status, answer.data
    assert answer.mimetype == "application/problem+json"
    content = json.loads(answer.data)
    assert content["status"] == status
    assert content["title"]
    assert len(content["detail"]) > 10
    for word in words:
        assert word in content["detail"]
    assert ("Retry-After" in answer.headers) == (status in (429, 503))

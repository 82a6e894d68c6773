"""The API while Redis or the store goes away: 503 with Retry-After, and nothing that was answered 202 is lost."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stageline.broker.keys import UNFINISHED
from stageline.broker.producer import Producer
from stageline.core.settings import Settings
from stageline.pipeline.message import Message
from stageline.store import FolderStore, S3Store
from tests.support.places import missing
from tests.support.served_api import JPEG, Answer, ServedApi, assert_problem, until
from tests.support.servers import MinioServer, RedisServer


@pytest.fixture(scope="module")
def api(own_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    """An API process on a folder."""
    served = ServedApi(tmp_path_factory.mktemp("api"), REDIS_URL=own_redis.url)
    yield served
    served.stop()


def test_redis_away_is_503_and_nothing_accepted_is_lost(api: ServedApi, own_redis: RedisServer) -> None:
    """Redis is killed while uploads come: 202 or 503 with Retry-After; after it is back, every 202 is there."""
    answers: list[Answer] = []
    ended = threading.Event()

    def send() -> None:
        while not ended.is_set():
            answers.append(api.upload())

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    until(lambda: len(answers) >= 10)
    own_redis.kill()
    until(lambda: any(answer.status == 503 for answer in answers))
    for path in ("/queue-status", "/status/x", "/readyz", "/health", "/metrics", "/image/x"):
        answer = api.curl(path)
        assert answer.status == 503
        assert b"REDIS_URL" in answer.body
    assert api.curl("/healthz").status == 200
    own_redis.start()
    seen = len(answers)
    until(lambda: any(answer.status == 202 for answer in answers[seen:]))
    ended.set()
    for sender in senders:
        sender.join()
    for answer in answers:
        if answer.status != 202:
            assert_problem(answer, 503, b"REDIS_URL", b"may not have been accepted")
    client = Producer(own_redis.url, 1).client
    queued = {message.image_id: message for message in map(Message.decode, client.lrange("resize_queue", 0, -1))}
    store = FolderStore(api.folder / "images")
    for answer in answers:
        if answer.status == 202:
            image_id = json.loads(answer.body)["image_id"]
            assert store.get(queued[image_id].original_path) == JPEG
            assert client.zscore(UNFINISHED, image_id) is not None


def test_minio_away_is_503_and_nothing_accepted_is_lost(own_redis: RedisServer, tmp_path: Path) -> None:
    """The object store is killed and comes back: 503 with Retry-After meanwhile, 202 after, and all of those there."""
    minio = MinioServer(tmp_path / "minio")
    try:
        minio.start()
    except FileNotFoundError as error:
        missing(str(error))
    keys = {"MINIO_ACCESS_KEY": minio.access_key, "MINIO_SECRET_KEY": minio.secret_key}
    served = ServedApi(tmp_path, REDIS_URL=own_redis.url, MINIO_ENDPOINT=minio.endpoint, **keys)
    try:
        until(lambda: served.curl("/readyz").status == 200)
        accepted = [served.upload()]
        minio.kill()
        assert_problem(served.upload(), 503, b"MINIO_ENDPOINT", b"may not have been accepted")
        assert served.curl("/readyz").status == 503
        assert json.loads(served.curl("/readyz").body)["checks"]["redis"] == "ok"
        minio.start()
        until(lambda: served.curl("/readyz").status == 200)
        accepted.append(served.upload())
        store = S3Store.from_settings(
            Settings(
                minio_endpoint=minio.endpoint, minio_access_key=minio.access_key, minio_secret_key=minio.secret_key
            )
        )
        for answer in accepted:
            assert answer.status == 202
            assert store.get(f"original/{json.loads(answer.body)['image_id']}.jpg") == JPEG
    finally:
        served.stop()
        minio.stop()

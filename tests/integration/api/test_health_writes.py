"""/health where a server answers and takes no writes, or hangs: a sentence, in time; uploads are 503 meanwhile."""

import json
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from stageline.broker.keys import MODELS
from stageline.broker.producer import Producer
from stageline.store import FolderStore, S3Store
from stageline.store.base import STORE_PROBE
from tests.support.processes import descendants
from tests.support.served_api import JPEG, ServedApi, assert_problem, until
from tests.support.servers import MinioServer, PostgresServer, RedisServer
from tests.support.serving import s3_settings

READ = ["s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject"]
REFUSALS = {
    "out of memory": ({"maxmemory": "1"}, {"maxmemory": "0"}, "OOM"),
    "too few replicas": ({"min-replicas-to-write": "1"}, {"min-replicas-to-write": "0"}, "NOREPLICAS"),
    "a replica": (None, None, "read only replica"),
}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServedApi]]:
    """Start an API process in a given environment."""
    started: list[ServedApi] = []

    def start(**environment: str) -> ServedApi:
        started.append(ServedApi(tmp_path, **environment))
        return started[-1]

    yield start
    for api in started:
        api.stop()


@contextmanager
def only_small_files(api: ServedApi) -> Iterator[None]:
    """Let an API process write no file of more than a hundred bytes, as where the disk is full."""
    pids = [api.process.pid, *descendants(api.process.pid)]
    try:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def health(api: ServedApi) -> tuple[int, dict[str, Any]]:
    """What /health says, workers apart, of which there are none here."""
    answer = api.curl("/health")
    report = json.loads(answer.body)
    report["problems"] = [said for said in report["problems"] if "worker is alive" not in said]
    return answer.status, report


def well(api: ServedApi) -> bool:
    """Whether nothing is wrong."""
    status, report = health(api)
    return status == 200 and report["problems"] == []


def said(api: ServedApi, check: str, *words: str) -> None:
    """The API's check says why, in the one sentence of its kind; what only reads goes on."""

    def is_said() -> bool:
        status, report = health(api)
        return (status, report["status"]) == (503, "unavailable") and report["checks"][check] != "ok"

    until(is_said)
    _, report = health(api)
    assert report["problems"] == [report["checks"][check]]
    for word in words:
        assert word in report["checks"][check]
    for path in ("/stats", "/queue-status"):
        assert api.curl(path).status == 200, path


@pytest.mark.parametrize("why", REFUSALS)
def test_a_redis_that_takes_no_writes_is_said(why: str, start_redis: Callable[..., RedisServer], serve) -> None:
    """Out of memory, without its replicas, or a replica: it answers every PING. Afterwards all is well again."""
    redis = start_redis()
    api, client = serve(REDIS_URL=redis.url), Producer(redis.url, 1).client
    until(lambda: well(api))
    spoil, mend, word = REFUSALS[why]
    if spoil is None:
        client.replicaof("127.0.0.1", redis.port)  # itself
    else:
        client.config_set(*next(iter(spoil.items())))
    said(api, "redis", "REDIS_URL", word)
    if mend is None:
        client.replicaof("NO", "ONE")
    else:
        client.config_set(*next(iter(mend.items())))
    until(lambda: well(api))
    assert api.upload().status == 202


def test_health_reports_at_once_what_refused_an_upload(own_redis: RedisServer, serve) -> None:
    """Whatever was known before of the store's writes: the next request sees why."""
    api = serve(REDIS_URL=own_redis.url)
    until(lambda: well(api))
    with only_small_files(api):
        assert_problem(api.upload(), 503, b"may not have been accepted")
        assert "takes no writes" in health(api)[1]["checks"]["object_store"]


def test_uploads_that_redis_refuses_leave_nothing_behind(start_redis: Callable[..., RedisServer], serve) -> None:
    """However often they are tried: no original is stored without a message."""
    redis = start_redis()
    api = serve(REDIS_URL=redis.url)
    client, store = Producer(redis.url, 1).client, FolderStore(api.folder / "images")
    assert api.upload().status == 202
    (kept,) = store.keys("original/")
    client.config_set("maxmemory", "1")
    for key in ("-H", "X-No: key"), ("-H", "Idempotency-Key: k"):
        for _ in range(5):
            refused = api.curl("/upload", *key, "--data-binary", "@-", body=JPEG)
            assert_problem(refused, 503, b"OOM")
    client.config_set("maxmemory", "0")
    assert list(store.keys("original/")) == [kept]
    assert api.upload().status == 202


def test_a_disk_without_room_for_an_upload_is_a_problem(own_redis: RedisServer, serve, tmp_path: Path) -> None:
    """It says how much is free and how much an upload may have; what fits is taken all the same."""
    most = 2 * shutil.disk_usage(tmp_path).total
    api = serve(REDIS_URL=own_redis.url, MAX_UPLOAD_BYTES=str(most))
    status, report = health(api)
    assert (status, report["status"], report["checks"]["object_store"]) == (200, "degraded", "ok")
    (problem,) = report["problems"]
    assert "bytes free" in problem
    assert f"one upload may have {most:,} (MAX_UPLOAD_BYTES)" in problem
    assert api.upload().status == 202


def test_a_folder_that_takes_no_writes_is_said(own_redis: RedisServer, serve) -> None:
    """The API may write no file of more than a hundred bytes, as where the disk is full; nothing is left of the
    looking."""
    api = serve(REDIS_URL=own_redis.url)
    until(lambda: well(api))
    with only_small_files(api):
        said(api, "object_store", "takes no writes", "cannot be written to")
        assert api.curl("/readyz").status == 200
        assert_problem(api.upload(), 503, b"may not have been accepted")
    until(lambda: well(api))
    assert api.upload().status == 202
    assert [key for key in FolderStore(api.folder / "images").keys("") if not key.startswith("original/")] == []


def test_a_bucket_that_may_only_be_read_is_said(own_redis: RedisServer, minio_server: MinioServer, serve) -> None:
    """The line's user may read and not write; once it may, all is well, and nothing is left of the looking."""
    bucket = "only-read"
    S3Store.from_settings(s3_settings(minio_server, bucket)).check()
    root = StaticProvider(minio_server.access_key, minio_server.secret_key)
    admin = MinioAdmin(endpoint=minio_server.endpoint, credentials=root, secure=False)
    names = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    for name, actions in (("reads", READ), ("writes", [*READ, "s3:PutObject", "s3:DeleteObject"])):
        rights = {"Effect": "Allow", "Action": actions, "Resource": names}
        admin.policy_add(name, policy={"Version": "2012-10-17", "Statement": [rights]})
    admin.user_add("reader", "reader-secret")
    admin.policy_set("reads", user="reader")
    keys = {"MINIO_ACCESS_KEY": "reader", "MINIO_SECRET_KEY": "reader-secret", "S3_BUCKET": bucket}
    api = serve(REDIS_URL=own_redis.url, MINIO_ENDPOINT=minio_server.endpoint, **keys)
    said(api, "object_store", "takes no writes", "MINIO_", "AccessDenied")
    assert_problem(api.upload(), 503, b"may not have been accepted")
    admin.policy_unset("reads", user="reader")
    admin.policy_set("writes", user="reader")
    until(lambda: well(api))
    assert api.upload().status == 202
    left = list(S3Store.from_settings(s3_settings(minio_server, bucket)).keys(""))
    assert STORE_PROBE not in left
    assert len(left) == 1


def test_what_cannot_be_read_of_the_line_is_a_problem_and_no_500(own_redis: RedisServer, serve) -> None:
    """As where somebody keeps something else under a name of ours."""
    api, client = serve(REDIS_URL=own_redis.url), Producer(own_redis.url, 1).client
    until(lambda: well(api))
    client.set(MODELS, "something else")
    status, report = health(api)
    client.delete(MODELS)
    assert (status, report["status"], report["checks"]["redis"]) == (200, "degraded", "ok")
    assert "WRONGTYPE" in report["problems"][0] or "wrong kind of value" in report["problems"][0]


def test_a_log_that_cannot_be_written_fails_nothing(own_redis: RedisServer, serve, tmp_path: Path) -> None:
    """The log is on the disk that is full: uploads are taken, and each is said to be."""
    (tmp_path / "api.log").symlink_to("/dev/full")
    api = serve(REDIS_URL=own_redis.url)
    assert api.upload().status == 202
    assert api.upload().status == 202


@pytest.mark.parametrize("server", ["redis", "minio", "postgres"])
def test_a_server_that_hangs_holds_health_up_no_longer_than_it_waits(
    server: str, start_redis, start_minio, postgres_server: PostgresServer, serve
) -> None:
    """A stopped process takes connections and answers nothing: /health says so, and all is well when it goes on."""
    redis, minio = start_redis(), start_minio()
    api = serve(
        REDIS_URL=redis.url, MINIO_ENDPOINT=minio.endpoint, MINIO_ACCESS_KEY=minio.access_key,
        MINIO_SECRET_KEY=minio.secret_key, DATABASE_URL=postgres_server.create_database("health"),
    )  # fmt: skip
    until(lambda: well(api))
    process = {"redis": redis, "minio": minio, "postgres": postgres_server}[server].process
    check = {"redis": "redis", "minio": "object_store", "postgres": "catalogue"}[server]
    pids = [process.pid, *descendants(process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        status, report = health(api)
        assert "has not answered for" in report["checks"][check]
        assert status == (200 if server == "postgres" else 503)
        assert report["problems"] == [report["checks"][check]]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    until(lambda: well(api))

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
from tests.support.served_door import JPEG, ServedDoor, assert_problem, until
from tests.support.servers import MinioServer, PostgresServer, RedisServer
from tests.support.serving import s3_settings

READ = ["s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject"]
REFUSALS = {
    "out of memory": ({"maxmemory": "1"}, {"maxmemory": "0"}, "OOM"),
    "too few replicas": ({"min-replicas-to-write": "1"}, {"min-replicas-to-write": "0"}, "NOREPLICAS"),
    "a replica": (None, None, "read only replica"),
}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServedDoor]]:
    """Start a door in a given environment."""
    started: list[ServedDoor] = []

    def start(**environment: str) -> ServedDoor:
        started.append(ServedDoor(tmp_path, **environment))
        return started[-1]

    yield start
    for door in started:
        door.stop()


@contextmanager
def only_small_files(door: ServedDoor) -> Iterator[None]:
    """Let a door write no file of more than a hundred bytes, as where the disk is full."""
    pids = [door.process.pid, *descendants(door.process.pid)]
    try:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def health(door: ServedDoor) -> tuple[int, dict[str, Any]]:
    """What /health says, workers apart, of which there are none here."""
    answer = door.curl("/health")
    report = json.loads(answer.body)
    report["problems"] = [said for said in report["problems"] if "worker is alive" not in said]
    return answer.status, report


def well(door: ServedDoor) -> bool:
    """Whether nothing is wrong."""
    status, report = health(door)
    return status == 200 and report["problems"] == []


def said(door: ServedDoor, check: str, *words: str) -> None:
    """The door's check says why, in the one sentence of its kind; what only reads goes on."""

    def is_said() -> bool:
        status, report = health(door)
        return (status, report["status"]) == (503, "unavailable") and report["checks"][check] != "ok"

    until(is_said)
    _, report = health(door)
    assert report["problems"] == [report["checks"][check]]
    for word in words:
        assert word in report["checks"][check]
    for path in ("/stats", "/queue-status"):
        assert door.curl(path).status == 200, path


@pytest.mark.parametrize("why", REFUSALS)
def test_a_redis_that_takes_no_writes_is_said(why: str, start_redis: Callable[..., RedisServer], serve) -> None:
    """Out of memory, without its replicas, or a replica: it answers every PING. Afterwards all is well again."""
    redis = start_redis()
    door, client = serve(REDIS_URL=redis.url), Producer(redis.url, 1).client
    until(lambda: well(door))
    spoil, mend, word = REFUSALS[why]
    if spoil is None:
        client.replicaof("127.0.0.1", redis.port)  # itself
    else:
        client.config_set(*next(iter(spoil.items())))
    said(door, "redis", "REDIS_URL", word)
    if mend is None:
        client.replicaof("NO", "ONE")
    else:
        client.config_set(*next(iter(mend.items())))
    until(lambda: well(door))
    assert door.upload().status == 202


def test_what_an_upload_was_refused_by_is_said_at_once(own_redis: RedisServer, serve) -> None:
    """Whatever was known before of the store's writes: who asks right after sees why."""
    door = serve(REDIS_URL=own_redis.url)
    until(lambda: well(door))
    with only_small_files(door):
        assert_problem(door.upload(), 503, b"may not have been accepted")
        assert "takes no writes" in health(door)[1]["checks"]["object_store"]


def test_uploads_that_redis_refuses_leave_nothing_behind(start_redis: Callable[..., RedisServer], serve) -> None:
    """However often they are tried: no original is stored which nobody knows of."""
    redis = start_redis()
    door = serve(REDIS_URL=redis.url)
    client, store = Producer(redis.url, 1).client, FolderStore(door.folder / "images")
    assert door.upload().status == 202
    (kept,) = store.keys("original/")
    client.config_set("maxmemory", "1")
    for key in ("-H", "X-No: key"), ("-H", "Idempotency-Key: k"):
        for _ in range(5):
            refused = door.curl("/upload", *key, "--data-binary", "@-", body=JPEG)
            assert_problem(refused, 503, b"OOM")
    client.config_set("maxmemory", "0")
    assert list(store.keys("original/")) == [kept]
    assert door.upload().status == 202


def test_a_disk_without_room_for_an_upload_is_a_problem(own_redis: RedisServer, serve, tmp_path: Path) -> None:
    """It says how much is free and how much an upload may have; what fits is taken all the same."""
    most = 2 * shutil.disk_usage(tmp_path).total
    door = serve(REDIS_URL=own_redis.url, MAX_UPLOAD_BYTES=str(most))
    status, report = health(door)
    assert (status, report["status"], report["checks"]["object_store"]) == (200, "degraded", "ok")
    (problem,) = report["problems"]
    assert "bytes free" in problem
    assert f"one upload may have {most:,} (MAX_UPLOAD_BYTES)" in problem
    assert door.upload().status == 202


def test_a_folder_that_takes_no_writes_is_said(own_redis: RedisServer, serve) -> None:
    """The door may write no file of more than a hundred bytes, as where the disk is full; nothing is left of the
    looking."""
    door = serve(REDIS_URL=own_redis.url)
    until(lambda: well(door))
    with only_small_files(door):
        said(door, "object_store", "takes no writes", "cannot be written to")
        assert door.curl("/readyz").status == 200
        assert_problem(door.upload(), 503, b"may not have been accepted")
    until(lambda: well(door))
    assert door.upload().status == 202
    assert [key for key in FolderStore(door.folder / "images").keys("") if not key.startswith("original/")] == []


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
    door = serve(REDIS_URL=own_redis.url, MINIO_ENDPOINT=minio_server.endpoint, **keys)
    said(door, "object_store", "takes no writes", "MINIO_", "AccessDenied")
    assert_problem(door.upload(), 503, b"may not have been accepted")
    admin.policy_unset("reads", user="reader")
    admin.policy_set("writes", user="reader")
    until(lambda: well(door))
    assert door.upload().status == 202
    left = list(S3Store.from_settings(s3_settings(minio_server, bucket)).keys(""))
    assert STORE_PROBE not in left
    assert len(left) == 1


def test_what_cannot_be_read_of_the_line_is_a_problem_and_no_500(own_redis: RedisServer, serve) -> None:
    """As where somebody keeps something else under a name of ours."""
    door, client = serve(REDIS_URL=own_redis.url), Producer(own_redis.url, 1).client
    until(lambda: well(door))
    client.set(MODELS, "something else")
    status, report = health(door)
    client.delete(MODELS)
    assert (status, report["status"], report["checks"]["redis"]) == (200, "degraded", "ok")
    assert "WRONGTYPE" in report["problems"][0] or "wrong kind of value" in report["problems"][0]


def test_a_log_that_cannot_be_written_fails_nothing(own_redis: RedisServer, serve, tmp_path: Path) -> None:
    """The log is on the disk that is full: uploads are taken, and each is said to be."""
    (tmp_path / "door.log").symlink_to("/dev/full")
    door = serve(REDIS_URL=own_redis.url)
    assert door.upload().status == 202
    assert door.upload().status == 202


@pytest.mark.parametrize("server", ["redis", "minio", "postgres"])
def test_a_server_that_hangs_holds_health_up_no_longer_than_it_waits(
    server: str, start_redis, start_minio, postgres_server: PostgresServer, serve
) -> None:
    """A stopped process takes connections and answers nothing: /health says so, and all is well when it goes on."""
    redis, minio = start_redis(), start_minio()
    door = serve(
        REDIS_URL=redis.url, MINIO_ENDPOINT=minio.endpoint, MINIO_ACCESS_KEY=minio.access_key,
        MINIO_SECRET_KEY=minio.secret_key, DATABASE_URL=postgres_server.create_database("health"),
    )  # fmt: skip
    until(lambda: well(door))
    process = {"redis": redis, "minio": minio, "postgres": postgres_server}[server].process
    check = {"redis": "redis", "minio": "object_store", "postgres": "catalogue"}[server]
    pids = [process.pid, *descendants(process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        status, report = health(door)
        assert "has not answered for" in report["checks"][check]
        assert status == (200 if server == "postgres" else 503)
        assert report["problems"] == [report["checks"][check]]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    until(lambda: well(door))

"""The hot cache of a running line: it is used, it dies, it hangs, and no picture is any the worse for it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from tests.support.faults import assert_each_has_one_result, attempts_of, send, wait_for
from tests.support.processes import descendants
from tests.support.running_line import RunningLine

PICTURES = 16
JPEG = b"\xff\xd8\xff"
LEASE = {"LEASE_SECONDS": "60"}  # no worker dies here, and on a busy machine none may count as dead
SLOW_TIMEOUT = """
from stageline.store import hot_cache
hot_cache.CONNECT_SECONDS = hot_cache.ANSWER_SECONDS = 60.0
"""


@pytest.fixture
def pictures(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "coco128" / "images").glob("*.jpg"))[:PICTURES]


@pytest.fixture
def running(request, start_line: Callable[..., RunningLine], start_minio, tmp_path) -> Iterator[RunningLine]:
    """A line before a MinIO, with the cache that `stageline up` starts; a test's parameter runs in every process."""
    minio = start_minio()
    environment = {"MINIO_ACCESS_KEY": minio.access_key, "MINIO_SECRET_KEY": minio.secret_key, **LEASE}
    if hasattr(request, "param"):
        (tmp_path / "sitecustomize.py").write_text(request.param)
        environment["PYTHONPATH"] = str(tmp_path)
    line = start_line(MINIO_ENDPOINT=minio.endpoint, **environment)
    yield line
    line.kill()  # before its store goes


def reads(running: RunningLine, result: str) -> int:
    """How many reads of all stages ended so at the cache."""
    found = 0
    for port in running.state["health"].values():
        page = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics").data.decode()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == "stageline_cache_reads_total" and sample.labels["result"] == result:
                    found += int(sample.value)
    return found


def everything_in(client: redis.Redis) -> dict[bytes, list[bytes]]:
    """All keys of a Redis, with all that each holds, whatever its type."""
    reads_of = {
        b"string": lambda name: [client.get(name) or b""],
        b"list": lambda name: client.lrange(name, 0, -1),
        b"hash": lambda name: [part for pair in client.hgetall(name).items() for part in pair],
        b"set": lambda name: list(client.smembers(name)),
        b"zset": lambda name: client.zrange(name, 0, -1),
        b"stream": lambda name: [p for _, f in client.xrange(name) for pair in f.items() for p in pair],
        b"none": lambda _: [],  # it has expired meanwhile
    }
    return {name: reads_of[client.type(name)](name) for name in client.scan_iter()}


@pytest.mark.parametrize("running", [SLOW_TIMEOUT], indirect=True, ids=["long timeout"])  # else a slow answer is none
def test_stages_read_memory_and_pixels_stay_out_of_the_queues(running: RunningLine, pictures) -> None:
    """Each stage finds its pictures in the cache; the queues' Redis holds none, and the cache nothing else."""
    ids = send(running, pictures)
    assert_each_has_one_result(running, ids)
    assert reads(running, "hit") >= 6 * len(ids)
    assert reads(running, "miss") == reads(running, "away") == 0
    queues = everything_in(redis.Redis.from_url(running.state["redis_url"]))
    assert queues
    assert not [name for name, values in queues.items() for value in values if JPEG in value or len(value) > 100_000]
    kept = everything_in(redis.Redis.from_url(running.state["cache_url"]))
    names = {f"stageline:cache:images:{folder}/{i}.jpg" for i in ids for folder in ("original", "resized", "tagged")}
    assert names <= {name.decode() for name in kept}
    assert {name.split(b":")[1] for name in kept} == {b"cache"}
    assert all(value.startswith(JPEG) for values in kept.values() for value in values)


def test_a_killed_cache_loses_nothing(running: RunningLine, pictures) -> None:
    """SIGKILL of the cache, twice, with the line full of work: it goes on, no attempt is counted, and the cache, which
    is started again by itself, is used again."""
    ids = []
    for _ in range(2):
        ids += send(running, pictures)
        dead = cache_pid(running)
        os.kill(dead, signal.SIGKILL)
        wait_for(lambda dead=dead: cache_pid(running, 0) not in (0, dead))
    assert_each_has_one_result(running, ids)
    assert attempts_of(running, ids) == {1}
    before = reads(running, "hit")
    wait_for(lambda: bool(send(running, pictures[:1])) and time.sleep(0.5) is None and reads(running, "hit") > before)


def test_a_cache_that_hangs_stops_nothing(running: RunningLine, pictures) -> None:
    """SIGSTOP of the cache with the line full of work: every picture is finished without it."""
    ids = send(running, pictures)
    pid = cache_pid(running)
    os.kill(pid, signal.SIGSTOP)
    try:
        ids += send(running, pictures)
        assert_each_has_one_result(running, ids)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert attempts_of(running, ids) == {1}


def test_no_cache_is_started_where_it_saves_nothing(start_line, start_minio) -> None:
    """Before a folder `stageline up` starts none, since reading files is cheaper; nor where CACHE_URL says off."""
    minio = start_minio()
    keys = {"MINIO_ACCESS_KEY": minio.access_key, "MINIO_SECRET_KEY": minio.secret_key}
    for environment in ({}, {"MINIO_ENDPOINT": minio.endpoint, "CACHE_URL": "off", **keys}):
        line = start_line(**environment)
        assert line.state["cache_url"] == "off"
        assert "cache" not in line.state["pids"]
        line.stop()


def cache_pid(running: RunningLine, otherwise: int | None = None) -> int:
    """The process that is the cache now."""
    port = running.state["cache_url"].rpartition(":")[2].partition("/")[0].encode()
    for pid in descendants(running.process.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b":" + port in words or b"\0" + port + b"\0" in words:
            return pid
    assert otherwise is not None, "there is no cache"
    return otherwise

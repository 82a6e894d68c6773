"""Processes die at any line, and servers go away: no accepted picture is lost, and each has one result."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from stageline.broker.producer import Producer
from stageline.broker.redis_client import connect
from stageline.pipeline import line
from tests.support.faults import assert_each_has_one_result, attempts_of, happens, pid_of, send, wait_for
from tests.support.processes import descendants

PICTURES = 24
LEASE = {"LEASE_SECONDS": "5"}  # in less, a living worker may miss its heartbeat on a busy machine
SLOW_TAG = """
import sys, time
if sys.orig_argv[-1] == "tag_service":
    from stageline.imaging import codec as images
    real = images.decode
    def decode(*words, **more):
        time.sleep(3.0)
        return real(*words, **more)
    images.decode = decode
"""


@pytest.fixture
def pictures(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "coco128" / "images").glob("*.jpg"))[:PICTURES]


@pytest.mark.parametrize("stage", [stage.name for stage in line.LINE])
def test_a_worker_killed_in_the_middle_of_work_loses_nothing(stage, start_line, pictures) -> None:
    """SIGKILL of a stage's worker while it holds messages: they go back when its lease has run out."""
    running = start_line(**LEASE)
    client = connect(str(running.state["redis_url"]))
    pid = pid_of(running, line.stage(stage).package)
    in_flight = f"stageline:inflight:{line.stage(stage).queue}:*"
    ids: list[str] = []
    while True:  # a stopped worker's pop goes on in the server, until its time is up: then another try
        assert len(ids) < 40, "the worker never held a message"
        os.kill(pid, signal.SIGSTOP)
        ids.append(running.client.upload(pictures[0]))
        if happens(lambda: any(client.llen(key) for key in client.keys(in_flight)), 0.5):
            break
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)  # until it pops again
    os.kill(pid, signal.SIGKILL)
    ids += send(running, pictures)
    assert_each_has_one_result(running, ids)
    attempts = [running.client.get(f"/status/{i}")["results"]["stages"][stage]["attempt"] for i in ids]
    assert max(attempts) == 2, "a crash counts as an attempt"


def test_a_killed_redis_loses_nothing(start_line, start_redis, pictures) -> None:
    """SIGKILL of Redis (appendfsync always) with the line full of work, and back: the line goes on by itself."""
    redis = start_redis("--appendfsync", "always")
    running = start_line(REDIS_URL=redis.url, **LEASE)
    ids = send(running, pictures)
    redis.kill()
    time.sleep(float(LEASE["LEASE_SECONDS"]))  # so every lease runs out, and the reaper notices that it is away
    redis.start()
    assert_each_has_one_result(running, ids)
    assert attempts_of(running, ids) == {1}, "a server that is away costs no attempt"


def test_a_killed_store_loses_nothing(start_line, start_minio, pictures) -> None:
    """SIGKILL of MinIO with the line full of work, and back: workers wait, and no attempt is counted."""
    minio = start_minio()
    keys = {"MINIO_ACCESS_KEY": minio.access_key, "MINIO_SECRET_KEY": minio.secret_key}
    running = start_line(MINIO_ENDPOINT=minio.endpoint, **keys, LEASE_SECONDS="60")
    ids = send(running, pictures)
    minio.kill()
    time.sleep(2.0)
    minio.start()
    assert_each_has_one_result(running, ids)
    assert attempts_of(running, ids) == {1}


def test_everything_killed_at_once_loses_nothing(start_line, pictures) -> None:
    """SIGKILL of the supervisor, the API, every worker and Redis: a new start finishes every accepted picture."""
    running = start_line(**LEASE)
    ids = send(running, pictures)
    running.kill()
    running.start()
    assert_each_has_one_result(running, ids)


def test_a_poison_picture_takes_no_neighbour_with_it(start_line, pictures, tmp_path) -> None:
    """A picture that kills its worker each time is dead-lettered after MAX_ATTEMPTS; all others are completed."""
    poison = tmp_path / "sitecustomize.py"
    poison.write_text(
        "import os, sys\n"
        "if sys.orig_argv[-1] == 'grayscale_service':\n"
        "    from stageline.imaging import codec as images\n"
        "    real = images.decode\n"
        "    def decode(data, *a, **k):\n"
        "        pixels, info = real(data, *a, **k)\n"
        "        if (info.width, info.height) == (123, 123): os.kill(os.getpid(), 9)\n"
        "        return pixels, info\n"
        "    images.decode = decode\n"
    )
    running = start_line(PYTHONPATH=str(tmp_path), MAX_ATTEMPTS="2", **LEASE, RESIZE_SCALE="1")
    from PIL import Image

    Image.new("RGB", (123, 123), (200, 30, 30)).save(tmp_path / "poison.jpg")
    ids = send(running, [*pictures[:6], tmp_path / "poison.jpg", *pictures[6:12]])
    bad = ids.pop(6)
    wait_for(lambda: running.client.get(f"/status/{bad}")["status"] == "failed")
    found = running.client.get(f"/status/{bad}")
    assert found["results"]["failed_stage"] == "grayscale"
    assert "died" in found["results"]["reason"]
    wait_for(lambda: all(running.client.get(f"/status/{i}")["status"] == "completed" for i in ids))
    assert running.client.get("/queue-status")["stages"]["grayscale"]["dead"] == 1


def test_a_sleeping_worker_that_wakes_up_late_writes_nothing(start_line, pictures, tmp_path) -> None:
    """A worker stopped in the middle of work for longer than its lease, whose work another did, writes nothing."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_TAG)
    running = start_line(workers={"tag": 2}, PYTHONPATH=str(tmp_path), **LEASE)
    client = connect(str(running.state["redis_url"]))
    ids = [running.client.upload(pictures[0])]
    in_flight = "stageline:inflight:tag_queue:*"
    wait_for(lambda: any(client.llen(key) for key in client.keys(in_flight)))
    (holder,) = [key.decode() for key in client.keys(in_flight) if client.llen(key)]
    sleeper = int(running.state["pids"][holder.split(":")[3]])
    os.kill(sleeper, signal.SIGSTOP)
    assert_each_has_one_result(running, ids)
    folders = running.folder / "data" / "images"
    before = {path: path.stat().st_mtime_ns for path in folders.rglob("*.*")}
    os.kill(sleeper, signal.SIGCONT)
    time.sleep(5)
    assert {path: path.stat().st_mtime_ns for path in folders.rglob("*.*")} == before
    assert running.client.get(f"/status/{ids[0]}")["status"] == "completed"
    assert client.llen("dead_letters") == 0


def test_sigterm_gives_back_or_finishes_and_exits_cleanly(start_line, pictures) -> None:
    """A worker that gets SIGTERM exits 0, holds nothing afterwards, and no attempt is counted."""
    running = start_line(LEASE_SECONDS="60")
    ids = send(running, pictures)
    for stage in line.LINE:
        os.kill(pid_of(running, stage.package), signal.SIGTERM)
    assert_each_has_one_result(running, ids)
    wait_for(lambda: running.log.read_text().count('"event": "died"') >= len(line.LINE))
    said = [json.loads(entry) for entry in running.log.read_text().splitlines() if entry.startswith("{")]
    assert {entry["exit_status"] for entry in said if entry["event"] == "died"} == {0}
    assert {entry["attempt"] for entry in said if entry["event"] == "done"} == {1}


def test_ctrl_c_stops_everything(start_line, pictures) -> None:
    """One interrupt ends every process with exit status 0, and what was accepted is finished by the next start."""
    running = start_line(LEASE_SECONDS="60")
    ids = send(running, pictures)
    below = descendants(running.process.pid)
    assert running.stop() == 0
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]
    running.start()
    assert_each_has_one_result(running, ids)


def test_a_failing_picture_is_retried_then_dead_lettered_and_can_be_replayed(start_line, pictures, tmp_path) -> None:
    """A failure is retried with back-off up to MAX_ATTEMPTS, then is a dead letter with its traceback; mended, it
    goes through by a replay."""
    running = start_line(MAX_ATTEMPTS="2", RETRY_BASE_SECONDS="0.2")
    client = connect(str(running.state["redis_url"]))
    producer = Producer(str(running.state["redis_url"]), 10)
    from stageline.pipeline.message import Message

    producer.accept(Message.of({"image_id": "ghost", "original_path": "original/ghost.jpg"}))
    wait_for(lambda: running.client.get("/status/ghost")["status"] == "failed")
    letter = json.loads(client.lindex("dead_letters", 0))
    assert letter["stage"] == "resize"
    assert letter["attempt"] == 2
    assert "NotFound" in letter["traceback"]
    target = running.folder / "data" / "images" / "original" / "ghost.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(pictures[0].read_bytes())
    from stageline.broker.dead_letters import DeadLetters

    letters = DeadLetters(client)
    assert letters.replay(*letters.list()[0])
    wait_for(lambda: running.client.get("/status/ghost")["status"] == "completed")

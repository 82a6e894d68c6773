"""A stage as its own process: health, readiness, metrics, several workers, and servers that come late."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stageline.broker import keys
from stageline.broker.producer import Producer
from stageline.local.ports import free_port
from stageline.pipeline.message import Message
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.processes import descendants
from tests.support.running_line import inherited


@pytest.fixture
def start(tmp_path: Path, models_dir: Path) -> Iterator[Callable[..., tuple[subprocess.Popen, int]]]:
    """Start `python -m <package>`; return the process and its health port."""
    started: list[subprocess.Popen] = []

    def run(package: str, **environment: str) -> tuple[subprocess.Popen, int]:
        port = free_port()
        own = {"STAGELINE_DATA": str(tmp_path / "data"), "MODELS_DIR": str(models_dir), "HEALTH_PORT": str(port)}
        with (tmp_path / f"{package}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", package], env={**inherited(), **own, **environment}, stderr=log
            )
        started.append(process)
        return process, port

    yield run
    for process in started:
        process.kill()
        process.wait()


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def ready(port: int, status: int) -> dict:
    """Wait until readiness is answered with that status, and return that very answer."""
    found: list[str] = []

    def asked() -> bool:
        code, body = get(port, "/readyz")
        found.append(body)
        return code == status

    wait_until(asked)
    return json.loads(found[-1])


def wait_until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_stage_reports_its_health_and_its_figures(start, settings) -> None:
    """/healthz and /readyz answer 200, /metrics has the stage's counters, anything else says what there is."""
    _, port = start("grayscale_service", REDIS_URL=settings.redis_url)
    assert ready(port, 200) == {"status": "ready", "checks": {"redis": "ok", "object_store": "ok"}}
    assert get(port, "/healthz")[0] == 200
    assert "stageline_step_seconds" in get(port, "/metrics")[1]
    assert get(port, "/other")[0] == 404


def test_a_stage_without_its_models_is_degraded_and_says_how_to_get_them(start, settings, tmp_path) -> None:
    """A model that was never installed is no crash: 200, degraded, with its name and the command; once it is there
    it is taken up without a restart."""
    nowhere = {"MODELS_DIR": str(tmp_path / "none"), "https_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}
    _, port = start("detect_service", REDIS_URL=settings.redis_url, **nowhere)
    report = ready(port, 200)
    assert report["status"] == "degraded"
    assert report["missing_models"] == ["yolox-nano", "mtcnn"]
    assert all("make models" in report["how_to_get_them"][name] for name in report["missing_models"])
    shutil.copytree(settings.models_folder, tmp_path / "none", dirs_exist_ok=True)
    wait_until(lambda: ready(port, 200)["status"] == "ready")


def test_servers_that_come_late_are_waited_for(start, start_redis) -> None:
    """Started before Redis, a stage says unready with the reason, does not crash, and goes on by itself."""
    redis = start_redis(at_once=False)
    process, port = start("resize_service", REDIS_URL=redis.url)
    assert "REDIS_URL" in ready(port, 503)["checks"]["redis"]
    redis.start()
    ready(port, 200)
    assert process.poll() is None


def test_a_stage_stopped_before_redis_ever_came_exits_cleanly(start, tmp_path) -> None:
    """SIGTERM while it waits for its servers: exit status 0, soon."""
    process, port = start("resize_service", REDIS_URL="redis://127.0.0.1:9/0")
    wait_until(lambda: get(port, "/healthz")[0] == 200)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_num_workers_sets_the_workers_of_a_stage(start, settings) -> None:
    """NUM_WORKERS=2: two leases; a killed one is started again as somebody else; SIGTERM ends all, exit status 0."""
    process, _ = start("resize_service", REDIS_URL=settings.redis_url, NUM_WORKERS="2", LEASE_SECONDS="60")
    client = Producer(settings.redis_url, 1).client
    wait_until(lambda: client.zcard(keys.WORKERS) == 2)
    os.kill(descendants(process.pid)[0], signal.SIGKILL)
    wait_until(lambda: client.zcard(keys.WORKERS) == 3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert client.zcard(keys.WORKERS) == 1, "the two that left have left; the killed one's lease is still there"


def test_work_that_hangs_ends_its_process(start, settings, tmp_path) -> None:
    """One picture that takes longer than WORK_TIMEOUT ends the worker with a sentence; its message is kept."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nfrom stageline.imaging import codec as images\nimages.decode = lambda *a, **k: time.sleep(600)\n"
    )
    store = FolderStore(tmp_path / "data" / "images")
    store.put(StoredObject("original/a.jpg", b"x", "image/jpeg"))
    producer = Producer(settings.redis_url, 1)
    producer.client.rpush("grayscale_queue", Message.of({"image_id": "a", "original_path": "original/a.jpg"}).raw)
    environment = {"WORK_TIMEOUT": "1", "LEASE_SECONDS": "1", "PYTHONPATH": str(tmp_path)}
    process, _ = start("grayscale_service", REDIS_URL=settings.redis_url, **environment)
    assert process.wait(90) == 70
    assert "WORK_TIMEOUT=1" in (tmp_path / "grayscale_service.log").read_text()
    assert sum(producer.client.llen(key) for key in producer.client.keys("stageline:inflight:*")) == 1


def test_log_lines_are_json_that_a_person_can_follow(start, settings, tmp_path, data_dir) -> None:
    """One line per picture at a stage, with image_id, stage, attempt, ms and the key written."""
    store = FolderStore(tmp_path / "data" / "images")
    picture = (data_dir / "coco128" / "images" / "000000000025.jpg").read_bytes()
    store.put(StoredObject("original/a.jpg", picture, "image/jpeg"))
    producer = Producer(settings.redis_url, 1)
    producer.client.rpush("resize_queue", Message.of({"image_id": "a", "original_path": "original/a.jpg"}).raw)
    start("resize_service", REDIS_URL=settings.redis_url)
    wait_until(lambda: producer.client.llen("grayscale_queue") == 1)
    wait_until(lambda: '"done"' in (tmp_path / "resize_service.log").read_text())
    lines = [json.loads(entry) for entry in (tmp_path / "resize_service.log").read_text().splitlines()]
    (done,) = [entry for entry in lines if entry["event"] == "done"]
    expected = {"image_id": "a", "stage": "resize", "attempt": 1, "key": "resized/a.jpg", "service": "resize"}
    assert expected.items() <= done.items()
    assert done["ms"] > 0

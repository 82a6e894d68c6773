"""The command line while things go wrong around it: a stage dies, a server is away, somebody presses Ctrl-C."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from stageline.client import Busy
from stageline.local.ports import free_port
from tests.support.commands import STAGELINE
from tests.support.faults import pid_of, wait_for
from tests.support.running_line import inherited

pytest_plugins = ("tests.support.cli_fixtures",)


@pytest.fixture
def begin(tmp_path, models_dir):
    """Begin `stageline` in an empty folder, and end it with the test."""
    begun: list[subprocess.Popen] = []

    def start(*words: object, **environment: str) -> subprocess.Popen:
        env = {**inherited(), "MODELS_DIR": str(models_dir), "PORT": str(free_port()), **environment}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen([*STAGELINE, *map(str, words)], env=env, cwd=tmp_path, **pipes))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def patch_grayscale(folder: Path, body: str) -> dict[str, str]:
    """Make grayscale's first decoding do something; return the environment for that."""
    (folder / "patches").mkdir()
    (folder / "patches" / "sitecustomize.py").write_text(
        "import os, pathlib, sys, time\n"
        "if sys.orig_argv[-1] == 'grayscale_service':\n"
        "    from stageline.imaging import codec as images\n"
        "    real, mark = images.decode, pathlib.Path(__file__).with_name('mark')\n"
        "    def decode(*a, **k):\n"
        "        if not mark.exists():\n"
        "            mark.touch()\n"
        f"            {body}\n"
        "        return real(*a, **k)\n"
        "    images.decode = decode\n"
    )
    return {"PYTHONPATH": str(folder / "patches"), "LEASE_SECONDS": "3"}


def test_samples_arrive_though_a_stage_dies(begin, giraffe, tmp_path) -> None:
    """A stage that dies while samples travel is started again. HOST may be another address of this machine, an empty
    REDIS_URL is none, and modules that lie in the current folder are not taken for the line's own."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "giraffe.jpg").write_bytes(giraffe.read_bytes())
    for name in ("cv2.py", "models.py"):
        (tmp_path / name).write_text("raise SystemExit('this is not the one')")
    env = {**patch_grayscale(tmp_path, "os._exit(9)"), "HOST": "127.0.0.2", "REDIS_URL": ""}
    up = begin("up", "--samples", "in", "--log", "up.log", "--then-stop", **env)
    said, noted = up.communicate(timeout=120)
    assert up.returncode == 0, noted
    assert "1 completed, 0 failed, 0 refused" in noted
    assert "giraffe" in said
    assert "127.0.0.2" in said
    assert (tmp_path / "patches" / "mark").exists()


def test_a_sample_that_fails_fails_then_stop(begin, tmp_path) -> None:
    """`up --samples … --then-stop` exits 1 when a sample was refused or failed."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.png").write_bytes(b"nothing")
    up = begin("up", "--samples", "in", "--log", "up.log", "--then-stop")
    _, noted = up.communicate(timeout=120)
    assert up.returncode == 1
    assert "0 completed, 0 failed, 1 refused" in noted


@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_samples_travel(signalled, begin, giraffe, tmp_path) -> None:
    """Ctrl-C and SIGTERM stop a line whose samples never come to an end."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "giraffe.jpg").write_bytes(giraffe.read_bytes())
    env = {**patch_grayscale(tmp_path, "time.sleep(3600)"), "SHUTDOWN_SECONDS": "1"}
    up = begin("up", "--samples", "in", "--log", "up.log", **env)
    wait_for((tmp_path / "patches" / "mark").exists, 120)  # a line has to start first
    up.send_signal(signalled)
    up.communicate(timeout=120)
    assert up.returncode == 0


def test_following_waits_while_redis_is_away(begin, start_line, start_redis, giraffe) -> None:
    """`upload --follow` waits through the API's 503s."""
    redis = start_redis("--appendfsync", "always")
    running = start_line(REDIS_URL=redis.url, LEASE_SECONDS="2")
    tagger = pid_of(running, "tag_service")
    os.kill(tagger, signal.SIGSTOP)
    upload = begin("upload", giraffe, "--follow", "--json", STAGELINE_URL=f"http://127.0.0.1:{running.port}")
    wait_for(lambda: running.client.get("/queue-status")["unfinished"] == 1)
    redis.kill()
    with pytest.raises(Busy):
        running.client.get("/queue-status")
    time.sleep(1.0)
    assert upload.poll() is None
    redis.start()
    os.kill(tagger, signal.SIGCONT)
    said, _ = upload.communicate(timeout=120)
    assert upload.returncode == 0
    assert [status["status"] for status in json.loads(said)] == ["completed"]


def test_accepted_ids_are_printed_when_the_line_goes(begin, start_line, giraffe, tmp_path) -> None:
    """An upload that loses the line half-way prints the ids that it had got, and exits 3."""
    running = start_line(MAX_QUEUE_SIZE="1")
    os.kill(pid_of(running, "tag_service"), signal.SIGSTOP)  # so that the line stays full with the first
    (tmp_path / "in").mkdir()
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "in" / name).write_bytes(giraffe.read_bytes())
    upload = begin("upload", "in", "--json", STAGELINE_URL=f"http://127.0.0.1:{running.port}")
    findings = running.folder / "data" / "images" / "findings"
    wait_for(lambda: findings.is_dir() and any(findings.iterdir()))  # so it was accepted, and answered long ago
    running.kill()
    said, noted = upload.communicate(timeout=120)
    assert upload.returncode == 3
    assert "stageline up" in noted
    (accepted,) = json.loads(said)
    assert accepted["path"] in ("in/1.jpg", "in/2.jpg")

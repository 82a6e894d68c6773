"""The command line as a user meets it: its output, its exit codes, its sentences."""

import json
import os
import subprocess
import sys
import time

import pytest
import redis

from stageline.broker.dead_letters import encode
from stageline.broker.keys import DEAD_LETTERS
from stageline.broker.redis_client import connect
from stageline.core.settings import Settings
from stageline.local.ports import free_port
from stageline.local.up import default_workers
from stageline.pipeline import line
from stageline.pipeline.message import Message
from tests.support import commands
from tests.support.faults import wait_for

pytest_plugins = ("tests.support.cli_fixtures",)


def test_run_writes_result_jpg(stageline, giraffe, tmp_path) -> None:
    """One picture through the whole chain, no servers: result.jpg is the tagged picture, and is not the original."""
    done = stageline("run", giraffe)
    assert done.returncode == 0, done.stderr
    assert "1 giraffe" in done.stdout
    assert (tmp_path / "result.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert (tmp_path / "result.jpg").read_bytes() != giraffe.read_bytes()


def test_run_writes_every_stage_into_a_folder(stageline, giraffe, data_dir, tmp_path) -> None:
    """--out gets the bucket's layout; --json prints the results, and only that, on stdout."""
    done = stageline("run", giraffe, data_dir / "faces" / "multiface.jpg", "--out", "made", "--json")
    documents = json.loads(done.stdout)
    assert [len(document["faces"]) > 0 for document in documents] == [False, True]
    assert all(document["stages"]["detect"]["ms"] > 0 for document in documents)
    folders = {path.name for path in (tmp_path / "made").iterdir()}
    assert folders == set(line.FOLDERS)
    assert all(len(list((tmp_path / "made" / folder).iterdir())) == 2 for folder in folders)


def test_run_says_which_picture_is_none(stageline, giraffe, tmp_path) -> None:
    """A file that is no picture is named with the reason, the others are done, and the exit code is 1."""
    (tmp_path / "notes.jpg").write_text("not a picture")
    done = stageline("run", giraffe, tmp_path / "notes.jpg", "--out", "made")
    assert done.returncode == 1
    assert "notes.jpg: not a picture" in done.stderr
    assert "giraffe" in done.stdout


@pytest.mark.parametrize("folder", ["none", "/proc/none"])
def test_run_without_models_says_so(folder, stageline, giraffe, tmp_path) -> None:
    """With no models and nowhere to get them the picture is passed through, and the missing ones are named; no
    privacy copy pretends to hide what was not looked for."""
    nowhere = {"MODELS_DIR": str(tmp_path / folder), "https_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}
    nowhere["STAGELINE_MODEL_MIRROR"] = "http://no host"
    done = stageline("run", giraffe, "--out", "made", "--json", **nowhere)
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    missing = ["yolox-nano", "mtcnn", *(["resnet18-cifar10"] if folder.startswith("/") else [])]
    assert document["missing_models"] == missing
    assert document["blurred_path"] is None
    assert "make models" in done.stderr
    assert not (tmp_path / "made" / "blurred").exists()
    fetched = stageline("models", "fetch", **nowhere)
    assert fetched.returncode == (3 if folder.startswith("/") else 1)
    assert ("cannot be written" if folder.startswith("/") else "2 of 4 models") in fetched.stderr
    assert "Traceback" not in fetched.stderr


def test_a_line_is_started_used_and_asked(start_line, stageline, giraffe, data_dir, tmp_path) -> None:
    """upload --follow, status, queues and dead work against a running line."""
    running = start_line()
    env = {
        "STAGELINE_URL": f"http://127.0.0.1:{running.port}",
        "STAGELINE_DATA": str(running.folder / "data"),
    }
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    odd = tmp_path / os.fsdecode(b"caf\xe9 \x1b[31m[red].jpg")
    odd.write_bytes(giraffe.read_bytes())
    plain = stageline("upload", odd, **env)
    assert plain.returncode == 0, plain.stderr
    assert "caf\ufffd [31m[red].jpg" in plain.stdout
    assert stageline("run", odd, **env).returncode == 0
    done = stageline("upload", giraffe, data_dir / "faces", tmp_path / "bad.png", "--follow", "--json", **env)
    assert done.returncode == 1, "one was refused"
    assert "bad.png" in done.stderr
    statuses = json.loads(done.stdout)
    assert [status["status"] for status in statuses] == ["completed"] * 4
    shown = stageline("status", statuses[0]["image_id"], **env)
    assert shown.returncode == 0
    assert "completed" in shown.stdout
    assert "detect" in shown.stdout
    foreign = {"image_id": "foreign", "original_path": "original/gone.jpg"}
    client = connect(str(running.state["redis_url"]))
    client.rpush("tag_queue", json.dumps(foreign))
    wait_for(lambda: client.llen(DEAD_LETTERS) == 1)
    assert "failed" in stageline("status", "foreign", **env).stdout
    counted = json.loads(stageline("queues", "--json", **env).stdout)
    assert (counted["unfinished"], counted["problems"]) == (0, [])
    (dead,) = json.loads(stageline("dead", "list", "--json", **env).stdout)
    assert dead["image_id"] == "foreign"
    assert stageline("dead", "show", "nothing", **env).returncode == 1
    assert stageline("status", "unknown-id", **env).returncode == 1


def test_lost_pictures_are_found_and_queued(start_line, stageline, giraffe) -> None:
    """After Redis lost everything, reconcile lists what was stored and has no result, and --queue sends it on."""
    running = start_line()
    image_id = running.client.upload(giraffe)
    list(running.client.wait([image_id]))
    bucket = running.folder / "data" / "images"
    (bucket / "original" / "lost-1.jpg").write_bytes(giraffe.read_bytes())
    env = {"STAGELINE_DATA": str(running.folder / "data")}
    assert json.loads(stageline("reconcile", "--json", **env).stdout) == ["lost-1"]
    stageline("reconcile", "--queue", **env)
    (status,) = running.client.wait(["lost-1"])
    assert status["status"] == "completed"
    assert json.loads(stageline("reconcile", "--json", **env).stdout) == []


def test_exit_codes_mean_something(stageline, giraffe, tmp_path) -> None:
    """2 for wrong words, 3 for a line that is not there, 78 for a malformed setting, each with one sentence."""
    assert stageline("upload", tmp_path / "nowhere.jpg").returncode == 2
    away = stageline("upload", giraffe, STAGELINE_URL=f"http://127.0.0.1:{free_port()}")
    assert away.returncode == 3
    assert "stageline up" in away.stderr
    assert "Traceback" not in away.stderr
    wrong = stageline("run", giraffe, RESIZE_SCALE="many")
    assert wrong.returncode == 78
    assert "RESIZE_SCALE='many'" in wrong.stderr
    assert stageline("queues", REDIS_URL="redis://127.0.0.1:9/0").returncode == 3


def test_a_second_line_on_the_same_data_is_refused(start_line, stageline) -> None:
    """Two lines must not share a folder, nor a port; the sentence names the setting."""
    running = start_line()
    same_data = stageline("up", STAGELINE_DATA=str(running.folder / "data"), PORT=str(free_port()))
    assert same_data.returncode == 78
    assert "STAGELINE_DATA" in same_data.stderr
    assert running.state["redis_url"], "the running line's own file is left alone"
    assert stageline("queues", STAGELINE_DATA=str(running.folder / "data")).returncode == 0
    same_port = stageline("up", STAGELINE_DATA="other", PORT=str(running.port), HOST="127.0.0.1")
    assert same_port.returncode == 78
    assert "PORT" in same_port.stderr
    no_host = stageline("up", STAGELINE_DATA="other", HOST="no.such.host.invalid")
    assert no_host.returncode == 78
    assert "HOST=no.such.host.invalid" in no_host.stderr


def test_a_malformed_setting_stops_each_service(models_dir) -> None:
    """A service with a wrong setting ends at once with a sentence that names it, and shows no secret."""
    for package in ("grab_service", "resize_service", "tag_service"):
        environment = commands.environment(MAX_ATTEMPTS="none", MINIO_SECRET_KEY="hidden")
        done = subprocess.run(
            [sys.executable, "-m", package], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 78
        assert "MAX_ATTEMPTS='none'" in done.stderr
        assert "hidden" not in done.stderr


def test_dead_letters_are_named_before_they_go(stageline, redis_server) -> None:
    """An id, a number, or a beginning that only one has; a replay goes on after what cannot be replayed."""
    client = connect(redis_server.url)
    client.flushall()
    env = {"REDIS_URL": redis_server.url}
    assert "no dead letters" in stageline("dead", "replay", "all", **env).stderr
    for image_id in ("abc", "abd", "abcd"):
        message = Message.of({"image_id": image_id, "original_path": f"original/{image_id}.jpg"})
        client.rpush(DEAD_LETTERS, encode("tag", message.raw, "[it] failed", message=message))
        client.rpush(DEAD_LETTERS, encode("tag", b"noise", "no message"))
    for vague in ("", "ab", "x"):
        refused = stageline("dead", "drop", vague, **env)
        assert refused.returncode == 1
        assert client.llen(DEAD_LETTERS) == 6
    assert "abc, abcd, abd" in stageline("dead", "drop", "ab", **env).stderr
    assert "[it] failed" in stageline("dead", "list", **env).stdout
    assert stageline("dead", "drop", "abc", **env).returncode == 0
    assert stageline("dead", "drop", "1", **env).returncode == 0
    assert client.llen(DEAD_LETTERS) == 4
    replayed = stageline("dead", "replay", "all", **env)
    assert replayed.returncode == 1, "two hold no message"
    assert client.llen(DEAD_LETTERS) == 2
    assert client.llen("tag_queue") == 2


def test_detect_gets_a_worker_per_core() -> None:
    """The costliest stage has one worker per core, at most 4; NUM_WORKERS, where it is set, holds for every stage."""
    counts = default_workers(Settings())
    assert counts.pop("detect") == min(4, len(os.sched_getaffinity(0)))
    assert set(counts.values()) == {1}
    assert set(default_workers(Settings(num_workers=3)).values()) == {3}


def test_a_status_outlives_its_stay_in_redis(start_line, giraffe) -> None:
    """After STATUS_TTL the same status comes from results/: the findings, the stages, the name and the size."""
    running = start_line(STATUS_TTL="3")
    image_id = running.client.upload(giraffe)
    (before,) = running.client.wait([image_id])
    assert before["file_size"] == giraffe.stat().st_size
    lists = redis.Redis.from_url(str(running.state["redis_url"]))
    deadline = time.monotonic() + 60
    while lists.exists(f"stageline:status:{image_id}"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    after = running.client.get(f"/status/{image_id}")
    for name in ("filename", "file_size", "status", "original_path", "results"):
        assert after[name] == before[name]
    assert after["stages"]["detect"] == before["stages"]["detect"]

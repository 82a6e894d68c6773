"""A stage, and a producer, written by somebody else: nothing but BLPOP and RPUSH."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import redis

from tests.support.running_line import RunningLine

TIMEOUT = 90.0  # seconds for what must come; nothing is asserted of how soon

# The whole of a foreign grayscale stage, in 20 lines that know nothing of Stageline.
STAGE = """
import json, os, sys
import cv2, redis
lists = redis.Redis.from_url(sys.argv[1], socket_timeout=None)
folder = sys.argv[2]
os.makedirs(folder + "/grayscale", exist_ok=True)
while True:
    _, raw = lists.blpop("grayscale_queue")
    message = json.loads(raw)
    picture = cv2.imread(folder + "/" + message["path"], cv2.IMREAD_GRAYSCALE)
    message["path"] = "grayscale/" + message["image_id"] + ".png"
    cv2.imwrite(folder + "/" + message["path"], picture)
    message["greyed_by"] = "somebody else"
    lists.rpush("objectdetect_queue", json.dumps(message))
"""


def await_end(running: RunningLine, image_id: str) -> dict:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        found = running.client.get(f"/status/{image_id}")
        if found["status"] in ("completed", "failed"):
            return found
        time.sleep(0.05)
    raise AssertionError("the picture never came to its end")


def test_a_foreign_stage_replaces_ours_in_a_running_line(start_line, data_dir: Path) -> None:
    """A 20-line BLPOP and RPUSH stage takes grayscale's place; its fields travel on, and objects are found."""
    running = start_line()
    picture = data_dir / "coco128" / "images" / "000000000025.jpg"
    stop_ours(running, "grayscale_service")
    folder = str(running.folder / "data" / "images")
    foreign = subprocess.Popen([sys.executable, "-c", STAGE, str(running.state["redis_url"]), folder])
    try:
        found = await_end(running, running.client.upload(picture))
    finally:
        foreign.kill()
        foreign.wait()
    assert found["status"] == "completed"
    assert found["results"]["greyed_by"] == "somebody else"
    assert "giraffe" in [each["label"] for each in found["results"]["detections"]]
    assert set(found["results"]["stages"]) == {"grab", "resize", "detect", "classify", "tag"}


def test_a_foreign_producer_needs_two_fields(start_line, data_dir: Path) -> None:
    """RPUSH of an id and an object's key is an upload: the line finds the size itself, and the results are there."""
    running = start_line()
    picture = data_dir / "coco128" / "images" / "000000000025.jpg"
    target = running.folder / "data" / "images" / "original" / "zoo-1.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(picture.read_bytes())
    lists = redis.Redis.from_url(str(running.state["redis_url"]))
    lists.rpush("resize_queue", json.dumps({"image_id": "zoo-1", "original_path": "original/zoo-1.jpg"}))
    deadline = time.monotonic() + TIMEOUT
    results = running.folder / "data" / "images" / "results" / "zoo-1.json"
    while not results.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = await_end(running, "zoo-1")
    height, width = cv2.imread(str(picture)).shape[:2]
    assert (found["results"]["origin_w"], found["results"]["origin_h"]) == (width, height)
    assert found["results"]["detections"][0]["label"] == "giraffe"


def test_what_is_no_message_goes_to_the_dead_letters_whole(start_line, data_dir: Path) -> None:
    """Garbage on a list is dead-lettered with its raw bytes, and the next picture goes through."""
    running = start_line()
    lists = redis.Redis.from_url(str(running.state["redis_url"]))
    garbage = [b"\xff\xfe", b"[]", b'{"image_id": "../x", "original_path": "original/x.jpg"}', b"{" * 5000]
    lists.rpush("resize_queue", *garbage)
    found = await_end(running, running.client.upload(data_dir / "coco128" / "images" / "000000000025.jpg"))
    assert found["status"] == "completed"
    letters = [json.loads(raw) for raw in lists.lrange("dead_letters", 0, -1)]
    assert [__import__("base64").b64decode(letter["raw_base64"]) for letter in letters] == garbage


def test_a_newer_message_waits_for_a_newer_worker(start_line) -> None:
    """A message of a higher version is delayed, not dead-lettered: a worker that knows it will come."""
    running = start_line()
    lists = redis.Redis.from_url(str(running.state["redis_url"]))
    lists.rpush("tag_queue", json.dumps({"v": 2, "image_id": "a", "original_path": "original/a.jpg"}))
    deadline = time.monotonic() + TIMEOUT
    while lists.zcard("stageline:delayed:tag_queue") == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert lists.llen("dead_letters") == 0


def stop_ours(running: RunningLine, package: str) -> None:
    """Keep our stage from running: stopped, and with its pop timed out, it takes nothing."""
    from tests.support.faults import pid_of

    os.kill(pid_of(running, package), signal.SIGSTOP)
    lists = redis.Redis.from_url(str(running.state["redis_url"]))
    deadline = time.monotonic() + TIMEOUT
    while not any(popped_in_vain(client) for client in lists.client_list()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def popped_in_vain(client: dict[str, str]) -> bool:
    """Whether this connection's last pop ended a while ago, and no other followed: its worker does not run."""
    return client["cmd"] == "blmove" and "b" not in client["flags"] and int(client["idle"]) >= 2

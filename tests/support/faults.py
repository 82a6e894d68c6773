"""Waiting for what must happen to a line while its processes die, and finding those processes."""

import contextlib
import time
from collections import Counter
from pathlib import Path

from stageline.pipeline import line
from tests.support.processes import descendants
from tests.support.running_line import RunningLine


def send(running: RunningLine, pictures: list[Path]) -> list[str]:
    return [running.client.upload(path) for path in pictures]


def happens(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def wait_for(condition, seconds: float = 120.0) -> None:
    assert happens(condition, seconds), "it did not happen in time"


def assert_each_has_one_result(running: RunningLine, ids: list[str], seconds: float = 180.0) -> None:
    """Every picture ends completed, with every stage's output, and nothing is left on any list."""
    deadline = time.monotonic() + seconds
    waiting = set(ids)
    while waiting:
        assert time.monotonic() < deadline, f"{len(waiting)} of {len(ids)} never ended"
        waiting = {i for i in waiting if running.client.get(f"/status/{i}")["status"] not in ("completed", "failed")}
        time.sleep(0.1)
    found = [running.client.get(f"/status/{image_id}") for image_id in ids]
    assert Counter(each["status"] for each in found) == {"completed": len(ids)}
    stages = {"grab", *(stage.name for stage in line.LINE)}
    assert all(set(each["results"]["stages"]) == stages for each in found)
    wait_for(lambda: sum(running.client.get("/queue-status")["total"].values()) == 0)
    assert running.client.get("/queue-status")["unfinished"] == 0


def pid_of(running: RunningLine, package: str) -> int:
    """The process that runs a stage now."""
    for pid in descendants(running.process.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if package.encode() in words:
                return pid
    raise AssertionError(f"no process runs {package}")


def attempts_of(running: RunningLine, ids: list[str]) -> set[int]:
    """How often anything was tried, by what the results say."""
    stages = [running.client.get(f"/status/{image_id}")["results"]["stages"] for image_id in ids]
    return {entry["attempt"] for each in stages for entry in each.values()}

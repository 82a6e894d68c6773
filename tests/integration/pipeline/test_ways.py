"""Ways down the line other than straight through: waiting, going on, again, and being deleted under way."""

import json
import time
from pathlib import Path

import pytest

from stageline.broker import status
from stageline.broker.producer import Producer
from stageline.broker.redis_client import Result
from stageline.imaging.codec import probe
from stageline.maintenance.deletion import erase_objects
from stageline.pipeline import line, rerun
from stageline.pipeline.message import Message
from stageline.store import FolderStore
from tests.support.running_line import RunningLine

HELD = """
import os, sys, time
if sys.orig_argv[-1] == "{service}":
    from stageline.imaging import codec as images
    real = images.encode_jpeg
    def encode_jpeg(*words, **more):
        while not os.path.exists(os.path.join(os.environ["PYTHONPATH"], "go on")):
            time.sleep(0.02)
        return real(*words, **more)
    images.encode_jpeg = encode_jpeg
"""


class Way:
    """A running line, and what an API process does on it, without HTTP."""

    def __init__(self, running: RunningLine, picture: Path) -> None:
        self.store = FolderStore(running.folder / "data" / "images")
        self.producer = Producer(str(running.state["redis_url"]), 100)
        self._picture = picture.read_bytes()

    def send(self, image_id: str, **fields) -> None:
        """Accept a picture."""
        info = probe(self._picture, 10**8)
        key = f"original/{image_id}.jpg"
        path = self.store._file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._picture)
        sizes = {"origin_w": info.width, "origin_h": info.height}
        first = rerun.first_run("2026-11-21T10:00:00.000Z")
        assert self.producer.accept(
            Message.of({"image_id": image_id, "original_path": key, **sizes, **first, **fields})
        )

    def status(self, image_id: str) -> str | None:
        found = status.read(self.producer.client, image_id)
        return found and found["status"]

    def wait(self, image_id: str, wanted: str) -> None:
        self.until(lambda: self.status(image_id) == wanted)

    def until(self, true) -> None:
        deadline = time.monotonic() + 120
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def document(self, image_id: str) -> dict:
        return json.loads(self.store.get(f"results/{image_id}.json"))

    def exists(self, key: str) -> bool:
        return key in set(self.store.keys(key))

    def left_of(self, image_id: str) -> list[str]:
        return [key for key in self.store.keys("") if image_id in key]


@pytest.fixture
def start_way(start_line, data_dir: Path):
    picture = data_dir / "coco128" / "images" / "000000000025.jpg"
    return lambda **environment: Way(start_line(**environment), picture)


def test_a_picture_waits_after_a_stage_and_goes_on_when_sent(start_way) -> None:
    """It is preprocessed, its kind is known, it is not unfinished; sent on, it is finished as its second run."""
    way = start_way()
    way.send("later", until="detect")
    way.wait("later", "waiting")
    document = way.document("later")
    assert (document["status"], document["kind"], "categories" in document) == ("waiting", "object", False)
    assert (way.producer.unfinished(), sum(way.producer.depths()["classify"].values())) == (0, 0)
    message, stage = rerun.prepare(document, None, way.exists)
    assert way.producer.send_again(message, stage) == Result.SENT
    way.wait("later", "completed")
    ended = way.document("later")
    assert [run["from"] for run in ended["runs"]] == ["resize", "classify"]
    names = [stage.name for stage in line.LINE]
    after = names.index("detect") + 1
    runs = {name: entry["run"] for name, entry in ended["stages"].items()}
    assert runs == dict.fromkeys(names[:after], 1) | dict.fromkeys(names[after:], 2)


@pytest.mark.parametrize("stage", [stage.name for stage in line.LINE])
def test_a_finished_picture_can_be_run_again_from_each_stage(start_way, stage: str) -> None:
    """It finds the same again, and only the stages from there on have run a second time."""
    way = start_way()
    way.send("again")
    way.wait("again", "completed")
    before = way.document("again")
    message, found = rerun.prepare(before, stage, way.exists)
    assert way.producer.send_again(message, found) == Result.SENT
    way.until(lambda: way.document("again")["run"] == 2)
    after = way.document("again")
    assert after["detections"] == before["detections"]
    names = [each.name for each in line.LINE]
    assert [name for name in names if after["stages"][name]["run"] == 2] == names[names.index(stage) :]
    assert {each["stage"] for each in after["history"]} == set(names[names.index(stage) :])


@pytest.mark.parametrize("service", ["resize_service", "grayscale_service", "tag_service"])
def test_a_picture_deleted_under_way_leaves_nothing_behind(start_way, tmp_path: Path, service: str) -> None:
    """While a stage works on it, which then stores what it made: the worker that finds out removes it."""
    (tmp_path / "sitecustomize.py").write_text(HELD.format(service=service))
    way = start_way(PYTHONPATH=str(tmp_path))
    way.send("gone")
    way.send("kept")
    name = service.removesuffix("_service")
    way.until(lambda: name in (status.read(way.producer.client, "gone") or {"stages": {}})["stages"])
    way.producer.delete("gone")
    erase_objects(way.store, "gone")
    (tmp_path / "go on").touch()
    way.wait("kept", "completed")
    way.until(lambda: sum(sum(counts.values()) for counts in way.producer.depths().values()) == 0)
    assert way.left_of("gone") == []
    assert (way.status("gone"), way.producer.unfinished()) == ("deleted", 0)
    assert len(way.left_of("kept")) == len(line.FOLDERS)


def test_a_worker_that_dies_while_it_removes_a_deleted_picture_leaves_that_to_the_next(start_way, tmp_path) -> None:
    """Killed after it stored what it had made of it, and before it could remove that again."""
    (tmp_path / "sitecustomize.py").write_text(
        HELD.format(service="resize_service")
        + "    import stageline.worker.committer as storer\n"
        + "    flag = os.path.join(os.environ['PYTHONPATH'], 'died')\n"
        + "    real_erase = storer.erase_objects\n"
        + "    def erase_objects(*words):\n"
        + "        if not os.path.exists(flag):\n"
        + "            open(flag, 'w').close()\n"
        + "            os.kill(os.getpid(), 9)\n"
        + "        real_erase(*words)\n"
        + "    storer.erase_objects = erase_objects\n"
    )
    way = start_way(PYTHONPATH=str(tmp_path), LEASE_SECONDS="5")
    way.send("gone")
    way.until(lambda: "resize" in (status.read(way.producer.client, "gone") or {"stages": {}})["stages"])
    way.producer.delete("gone")
    erase_objects(way.store, "gone")
    (tmp_path / "go on").touch()
    way.until((tmp_path / "died").exists)
    way.until(lambda: sum(sum(counts.values()) for counts in way.producer.depths().values()) == 0)
    assert way.left_of("gone") == []


def test_a_worker_that_died_stands_in_the_history(start_way, tmp_path: Path) -> None:
    """The history of a picture whose worker is killed has the attempt that was lost."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, os\n"
        "flag = os.path.join(os.environ['PYTHONPATH'], 'died')\n"
        "if sys.orig_argv[-1] == 'grayscale_service':\n"
        "    from stageline.imaging import codec as images\n"
        "    real = images.encode_jpeg\n"
        "    def encode_jpeg(*words, **more):\n"
        "        if not os.path.exists(flag):\n"
        "            open(flag, 'w').close()\n"
        "            os.kill(os.getpid(), 9)\n"
        "        return real(*words, **more)\n"
        "    images.encode_jpeg = encode_jpeg\n"
    )
    way = start_way(PYTHONPATH=str(tmp_path), LEASE_SECONDS="5")
    way.send("survivor")
    way.wait("survivor", "completed")
    document = way.document("survivor")
    (lost,) = document["history"]
    assert (lost["stage"], lost["state"], lost["attempt"]) == ("grayscale", "lost", 1)
    assert document["stages"]["grayscale"]["attempt"] == 2

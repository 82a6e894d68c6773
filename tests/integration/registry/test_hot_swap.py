"""Models change under load: no picture fails, and every result names the version that made it."""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from stageline.core.settings import Settings
from stageline.registry.card import CARD, ModelFiles, written
from stageline.registry.repository import Repository, open_repository
from stageline.store.base import StoredObject
from tests.support.running_line import RunningLine, inherited
from tests.support.serving import s3_settings
from tests.support.tiny_models import COLOURS, colours

NOTICED_SECONDS = 90.0  # ten are promised; this machine has other work, and what was refused is tried ever later
SCALE = 10.0  # so that the classifier is sure


def version(number: int) -> ModelFiles:
    """A colour classifier that calls each colour by the version's own name for it: `red-2`."""
    return colours(str(number), SCALE + number, labels=[f"{colour}-{number}" for colour in COLOURS])


class Swapped:
    """A line that is sent pictures all the time, and its model store."""

    def __init__(self, running: RunningLine, settings: Settings, environment: dict[str, str]) -> None:
        self.running, self._environment = running, environment
        self.repository: Repository = open_repository(settings)
        self.store = self.repository._store
        self.ids: list[str] = []

    def stageline(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `stageline models …` on the store of this line."""
        return subprocess.run(
            [sys.executable, "-m", "stageline", "models", *words],
            env={**inherited(), **self._environment, "STAGELINE_DATA": str(self.running.folder / "data")},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def readiness(self) -> dict:
        """What the classify stage says of itself."""
        port = self.running.state["health"]["classify"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60) as answer:
            return json.loads(answer.read())

    def wait_for(self, what: Callable[[dict], bool]) -> dict:
        """Wait until readiness says so of the colour model, and return all that it says."""
        deadline = time.monotonic() + NOTICED_SECONDS
        while not what(self.readiness()["models"]["colours"]):
            assert time.monotonic() < deadline, self.readiness()
            time.sleep(0.1)
        return self.readiness()

    def wait_for_serving(self, number: int) -> None:
        """Wait until that version is served, and nothing is refused."""
        self.wait_for(lambda state: state == {"serving": f"colours@{number}"})

    def wait_for_first_result(self) -> None:
        """Wait until a picture has come to its end: some version classified it."""
        deadline = time.monotonic() + NOTICED_SECONDS
        while not self.ids or self.running.client.get(f"/status/{self.ids[0]}")["status"] != "completed":
            assert time.monotonic() < deadline
            time.sleep(0.1)

    @contextmanager
    def load(self, picture: Path) -> Iterator[None]:
        """Send a picture again and again, for as long as the block runs."""
        stopping = threading.Event()

        def send() -> None:
            while not stopping.is_set():
                self.ids.append(self.running.client.upload(picture))

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            try:
                yield
            finally:
                stopping.set()
        sending.result()

    def results(self) -> list[dict]:
        """Wait for all that was sent; each completed, its results."""
        found = []
        for image_id in self.ids:
            deadline = time.monotonic() + 120
            while (status := self.running.client.get(f"/status/{image_id}"))["status"] != "completed":
                assert status["status"] != "failed", status
                assert time.monotonic() < deadline, status
                time.sleep(0.05)
            found.append(status["results"])
        return found


@pytest.fixture(params=["folder", "minio"])
def swapped(request, start_line, tmp_path) -> Swapped:
    """Give a line whose classifier is version 1, its models in a folder or in MinIO."""
    if request.param == "folder":
        environment = {"MODELS_DIR": str(tmp_path / "models")}
        settings = Settings(models_dir=tmp_path / "models")
    else:
        server = request.getfixturevalue("start_minio")()
        settings = s3_settings(server, "pictures")
        environment = {
            "MINIO_ENDPOINT": server.endpoint,
            "MINIO_ACCESS_KEY": server.access_key,
            "MINIO_SECRET_KEY": server.secret_key,
            "S3_BUCKET": settings.s3_bucket,
            "MODELS_DIR": "",
        }
    environment |= {"CLASSIFY_MODEL": "colours", "https_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1"}
    repository = open_repository(settings)
    repository.publish(version(1))
    repository.promote("colours", "1")
    return Swapped(start_line(**environment), settings, environment)


def test_models_change_under_load_and_no_picture_fails(swapped, tmp_path) -> None:
    """Promoted, uploaded in parts by another tool, with a bad hash, of the wrong shape, rolled back: in the end every
    picture is completed, was classified, and its category's name is that of the version it names."""
    picture = tmp_path / "red.png"
    import cv2
    import numpy as np

    cv2.imwrite(str(picture), np.full((64, 64, 3), (0, 0, 255), np.uint8))
    with swapped.load(picture):
        swapped.wait_for_serving(1)
        swapped.wait_for_first_result()
        publish_and_promote(swapped, tmp_path)
        come_piecemeal(swapped)
        plant_a_bad_hash(swapped)
        plant_a_wrong_shape(swapped)
        assert swapped.stageline("promote", "colours@2").returncode == 0
        swapped.wait_for_serving(2)
        assert swapped.stageline("rollback", "colours").returncode == 0
        swapped.wait_for_serving(3)
    results = swapped.results()
    made_by = {category["model"] for each in results for category in each["categories"]}
    assert {"colours@1", "colours@2", "colours@3"} == made_by
    for each in results:
        assert each["stages"]["classify"]["attempt"] == 1, "no picture failed, not even once"
        whole = [category for category in each["categories"] if category["box"] is None]
        assert [category["category"] for category in whole] == [f"red-{whole[0]['model'].partition('@')[2]}"]
        assert whole[0]["model_sha256"] == version(int(whole[0]["model"][-1])).card.sha256


def publish_and_promote(swapped: Swapped, tmp_path: Path) -> None:
    """Version 2 comes by the command line, and is served."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(version(2).network)
    (folder / CARD).write_bytes(written(version(2).card))
    done = swapped.stageline("publish", str(folder), "--promote")
    assert done.returncode == 0, done.stderr
    swapped.wait_for_serving(2)


def put(swapped: Swapped, key: str, data: bytes) -> None:
    swapped.store.put(StoredObject(key, data, "application/octet-stream"))


def come_piecemeal(swapped: Swapped) -> None:
    """Version 3 comes pointer first, then the card, then the network in two halves, as `mc cp` by hand might."""
    third = version(3)
    put(swapped, "colours/current", b'{"version": "3", "previous": "2"}')
    swapped.wait_for(lambda state: "is not published" in state.get("refused", ""))
    put(swapped, f"colours/3/{CARD}", written(third.card))
    put(swapped, "colours/3/model.onnx", third.network[:100])
    report = swapped.wait_for(lambda state: "is not the file of its card" in state.get("refused", ""))
    assert (report["status"], report["models"]["colours"]["serving"]) == ("degraded", "colours@2")
    put(swapped, "colours/3/model.onnx", third.network)
    swapped.wait_for_serving(3)


def plant_a_bad_hash(swapped: Swapped) -> None:
    """`promote` refuses version 4; pointed to by hand it is refused by the worker; rolled back, all is well."""
    swapped.repository.publish(version(4))
    put(swapped, "colours/4/model.onnx", version(3).network)
    done = swapped.stageline("promote", "colours@4")
    assert done.returncode == 1
    assert "is not the file of its card" in done.stderr
    assert swapped.repository.pointer("colours").version == "3"
    put(swapped, "colours/current", b'{"version": "4", "previous": "3"}')
    swapped.wait_for(lambda state: "is not the file of its card" in state.get("refused", ""))
    assert swapped.stageline("rollback", "colours").returncode == 0
    swapped.wait_for_serving(3)


def plant_a_wrong_shape(swapped: Swapped) -> None:
    """A network with two outputs for three labels: by `promote` and by the worker refused."""
    wrong = colours("5", SCALE, outputs=2)
    swapped.repository.publish(wrong)
    done = swapped.stageline("promote", "colours@5")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    put(swapped, "colours/current", b'{"version": "5", "previous": "3"}')
    swapped.wait_for(lambda state: "colours@5" in state.get("refused", ""))
    assert swapped.stageline("rollback", "colours").returncode == 0
    swapped.wait_for_serving(3)

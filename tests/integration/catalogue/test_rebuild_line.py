"""What a real line wrote down, whatever happened on it, the bucket alone gives again: row for row."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stageline.broker.keys import OUTCOMES
from stageline.broker.redis_client import connect
from stageline.catalogue import Catalogue, open_engine
from stageline.catalogue.migrate import migrate
from stageline.catalogue.rebuild import Rebuilt, rebuild
from stageline.core.errors import NotFound
from stageline.core.settings import Settings
from stageline.registry.repository import Repository
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.api_line import Api, until
from tests.support.catalogue_makers import drop, dump
from tests.support.running_line import RunningLine
from tests.support.tiny_embedder import cells

FAILS, KILLS, FAILS_ONCE, KILLS_ONCE, FAILS_UNTIL_MENDED = range(121, 126)  # pixels, each way
CLASSIFIED = "image-classification"
FAULTS = f"""
import os, pathlib, sys
if sys.orig_argv[-1] == "grayscale_service":
    from stageline.imaging import codec as images
    folder, real = pathlib.Path(os.environ["PYTHONPATH"]), images.decode
    def first(name):
        is_first = not (folder / name).exists()
        (folder / name).touch()
        return is_first
    def decode(*words, **more):
        pixels, info = real(*words, **more)
        if info.width == {KILLS} or (info.width == {KILLS_ONCE} and first("killed")):
            os.kill(os.getpid(), 9)
        mended = (folder / "mended").exists()
        if info.width == {FAILS} or (info.width == {FAILS_UNTIL_MENDED} and not mended):
            raise ValueError("it cannot be made grey")
        if info.width == {FAILS_ONCE} and first("failed"):
            raise ValueError("not at first")
        return pixels, info
    images.decode = decode
"""


class Story:
    """A line on which everything happens that can happen to a picture."""

    def __init__(self, running: RunningLine, folder: Path, engine_settings: Settings) -> None:
        self.running = running
        self.engine = open_engine(engine_settings)
        self.api = Api(f"http://127.0.0.1:{running.port}", Catalogue(self.engine))
        self.folder = folder
        self.store = FolderStore(running.folder / "data" / "images")
        self.redis = connect(str(running.state["redis_url"]))

    def send(self, size: int, query: str = "") -> str:
        """Upload a picture of so many pixels each way."""
        path = self.folder / f"{size}.jpg"
        Image.new("RGB", (size, size), (size, 30, 30)).save(path)
        return str(self.api.upload(path.read_bytes(), path.name, query)["image_id"])

    def ends(self, image_id: str, status: str, run: int = 1) -> None:
        assert self.api.ended(image_id, run)["status"] == status

    def post(self, path: str, **more: Any) -> Any:
        answer = self.api.call("POST", path, **more)
        assert answer.status in (200, 202), answer
        return answer.json

    def happen(self, faces: bytes, objects: bytes) -> dict[str, str]:
        """Let everything happen; return the pictures that are still there, by what happened to them."""
        ids = {"fails": self.send(FAILS), "kills": self.send(KILLS)}
        for image_id in ids.values():
            self.ends(image_id, "failed")
        ids["retried"] = self.send(FAILS_ONCE)
        self.ends(ids["retried"], "completed")  # before its worker dies of the next
        ids["lost"] = self.send(KILLS_ONCE)
        ids |= {"faces": self.api.upload(faces)["image_id"], "objects": self.api.upload(objects)["image_id"]}
        ids |= {name: self.send(64, "?process=false") for name in ("waits", "goes on", "from the beginning")}
        ids["replayed"] = self.send(FAILS_UNTIL_MENDED)
        gone = [self.send(65), self.send(66, "?process=false")]
        for name in ("lost", "faces", "objects"):
            self.ends(ids[name], "completed")
        for name in ("waits", "goes on", "from the beginning"):
            self.ends(ids[name], "waiting")
        self.ends(ids["replayed"], "failed")
        self._again(ids)
        ids["twice"] = self._twice(objects)
        for image_id in gone:
            self.api.ended(image_id)
            assert self.api.call("DELETE", f"/image/{image_id}").status == 204
        return ids

    def _twice(self, picture: bytes) -> str:
        """Have a foreign producer's message delivered twice, under an id that is not its original's."""
        self.store.put(StoredObject("original/elsewhere.jpg", picture, "image/jpeg"))
        message = {"image_id": "twice", "original_path": "original/elsewhere.jpg", "until": "grayscale"}
        first = ""
        for _ in range(2):
            self.redis.rpush("resize_queue", json.dumps(message))
            first = until(lambda before=first: self._updated("twice", before))
        return "twice"

    def _updated(self, image_id: str, before: str) -> str:
        try:
            at = str(json.loads(self.store.get(f"results/{image_id}.json"))["updated_at"])
        except NotFound:
            return ""
        return at if at != before else ""

    def _again(self, ids: dict[str, str]) -> None:
        """Send pictures on, again, and from the dead letters."""
        self.post(f"/process/{ids['goes on']}")
        self.post(f"/process/{ids['faces']}?from=classify")
        self.post(f"/process/{ids['fails']}?from=resize")
        self.post(f"/process/{ids['from the beginning']}?from=resize")
        (self.folder / "mended").touch()
        self.post("/dead/replay", json={"image_ids": [ids["replayed"]]})
        for name, status in (
            ("goes on", "completed"),
            ("faces", "completed"),
            ("replayed", "completed"),
            ("from the beginning", "completed"),
        ):
            self.ends(ids[name], status, 2)
        self.ends(ids["fails"], "failed", 2)
        self.post(f"/process/{ids['goes on']}?from=tag")
        self.ends(ids["goes on"], "completed", 3)


@pytest.fixture(params=["postgres", "sqlite"])
def story(request, start_line: Callable[..., RunningLine], models_dir: Path, tmp_path: Path) -> Story:
    """A line with each kind of database."""
    folder, models = tmp_path / "faults", tmp_path / "models"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FAULTS)
    shutil.copytree(models_dir, models)
    repository = Repository(FolderStore(models))
    repository.publish(cells())
    repository.promote("facenet-vggface2", "1")
    own = {"PYTHONPATH": str(folder), "MODELS_DIR": str(models), "LEASE_SECONDS": "3", "RESIZE_SCALE": "1"}
    own |= {"MAX_ATTEMPTS": "3", "RETRY_BASE_SECONDS": "0.2"}
    if request.param == "postgres":
        own["DATABASE_URL"] = request.getfixturevalue("postgres_server").create_database("catalogue")
    running = start_line(**own)
    found = Settings(database_url=own.get("DATABASE_URL"), stageline_data=running.folder / "data")
    return Story(running, folder, found)


def test_the_bucket_alone_gives_what_a_line_wrote_down(story: Story, data_dir: Path) -> None:
    """Completed, failed, retried, lost, waiting, sent on, again, replayed and deleted pictures: the same rows."""
    face = min((data_dir / "faces").rglob("*.jpg")).read_bytes()
    objects = (data_dir / "coco128" / "images" / "000000000025.jpg").read_bytes()
    ids = story.happen(face, objects)
    until(lambda: story.api.call("GET", "/queue-status").json["unfinished"] == 0)
    until(lambda: not any(story.redis.llen(key) for key in story.redis.keys("stageline:inflight:*")))
    until(lambda: story.redis.llen(OUTCOMES) == 0)
    assert story.running.stop() == 0
    before = dump(story.engine)
    assert {row["image_key"] for row in before["image_info"]} == set(ids.values())
    states = {(row["image_key"], row["state"]) for row in before["task_history"]}
    assert {(ids["lost"], "lost"), (ids["retried"], "retrying"), (ids["fails"], "failed")} <= states
    assert any(row["embedding"] for row in before["faces"])
    whole = {row["image_key"] for row in before["prediction_results"] if row["task"] == CLASSIFIED and not row["box"]}
    seen = {row["image_key"] for row in before["image_info"] if (row["kind"], row["status"]) == ("object", "completed")}
    assert ids["objects"] in seen <= whole, "each picture of kind object has its row, named or not"
    assert not all(row["named"] for row in before["prediction_results"])
    for wipe in (lambda: drop(story.engine), lambda: None):  # from nothing, and over what is right already
        wipe()
        migrate(story.engine)
        assert rebuild(story.engine, story.store, Settings()) == Rebuilt(results=len(ids))
        after = dump(story.engine)
        assert _as_text(after) == _as_text(before)
        assert after == before


def _as_text(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Rows as text, which a failing test shows line by line."""
    return [json.dumps([table, row], default=str) for table, rows in tables.items() for row in rows]

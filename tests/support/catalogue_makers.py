"""Documents and outbox events as the line writes them, and all rows of a catalogue, for tests."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, select, text

from stageline.catalogue import migrate
from stageline.catalogue.engine import reading, writing
from stageline.catalogue.tables import METADATA, deleted_images
from stageline.store import ObjectStore
from stageline.store.base import StoredObject

BEGAN = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
STAGES = ("grab", "resize", "grayscale", "detect", "classify", "tag")
SHA = "ab" * 32
CANDIDATES = [  # of a picture and of an object in it: what was looked at and not named
    {"category": "truck", "confidence": 0.4, "box": None, "model": "squeezenet-cifar10@2", "model_sha256": SHA,
     "reason": "unsure"},
    {"category": "cat", "confidence": 0.96, "box": [1, 2.5, 30, 40], "model": "squeezenet-cifar10@2",
     "model_sha256": SHA, "detected": "dog", "reason": "contradicted"},
]  # fmt: skip


def at(seconds: float) -> str:
    """A moment, so many seconds after uploads began."""
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def entry(stage: str, seconds: float, **more: Any) -> dict[str, Any]:
    """What a stage did."""
    worker = f"{stage}_queue:{stage}-host:0123456789ab"
    entry = {"state": "done", "run": 1, "attempt": 1, "worker": worker, "started": at(seconds)}
    return entry | {
        "finished": at(seconds + 0.5),
        "ms": 4.5,
        "key": f"{stage}/x.jpg",
        "keys": [f"{stage}/x.jpg"],
        **more,
    }


def document(image_id: str, seconds: float = 0, status: str = "completed", **more: Any) -> dict[str, Any]:
    """A picture's results."""
    person = {
        "label": "person",
        "score": 0.9,
        "box": [1, 2.5, 30, 40],
        "model": "yolox-nano@0.1.1-1",
        "model_sha256": SHA,
    }
    retried = {"stage": "detect", **entry("detect", seconds + 2.5, state="retrying", reason="no model: try again")}
    found = {
        "image_id": image_id, "filename": f"{image_id}.jpg", "file_size": 1234,
        "original_path": f"original/{image_id}.jpg", "origin_w": 640, "origin_h": 480,
        "kind": "face", "run": 1, "sha256": SHA, "uploaded_at": at(seconds),
        "detections": [person, {**person, "score": 0.5}, {**person, "label": "dog", "score": 0.7}],
        "faces": [{"score": 0.99, "box": [5, 5, 9, 9], "landmarks": [[1, 2], [3, 4]], "model": "mtcnn@1",
                   "embedding": {"key": f"findings/{image_id}.json", "index": 0}}],
        "categories": [{"category": "automobile", "confidence": 0.97, "box": None, "model": "squeezenet-cifar10@1"}],
        "stages": {stage: entry(stage, seconds + place) for place, stage in enumerate(STAGES)},
        "history": [retried],
        "runs": [{"run": 1, "from": "resize", "created_at": at(seconds)}],
        "status": status, "updated_at": at(seconds + 7),
    }  # fmt: skip
    ended = {"completed_at": at(seconds + 7)} if status in ("completed", "failed") else {}
    failed = {"failed_stage": "tag", "reason": "it broke"} if status == "failed" else {}
    return {**found, **ended, **failed, **more}


def first_message(image_id: str, seconds: float = 0, **more: Any) -> dict[str, Any]:
    """A picture's first message."""
    names = ("image_id", "filename", "file_size", "original_path", "sha256", "uploaded_at", "run", "runs")
    said = {name: value for name, value in document(image_id, seconds, **more).items() if name in (*names, *more)}
    return {**said, "status": "submitted", "stages": {"grab": entry("grab", seconds)}}


def outbox_event(image_id: str, status: str, run: int = 1, **more: Any) -> bytes:
    """An outbox event as it lies on the list."""
    return json.dumps({"image_id": image_id, "run": run, "status": status, "at": at(100), **more}).encode()


def ended(said: dict[str, Any]) -> bytes:
    """The outbox event of a document."""
    return outbox_event(said["image_id"], said["status"], said.get("run", 1), document=said)


def stream(image_id: str, seconds: float = 0, status: str = "completed", **more: Any) -> list[bytes]:
    """All outbox events of a picture."""
    begun = outbox_event(image_id, "submitted", document=first_message(image_id, seconds, **more))
    return [begun, outbox_event(image_id, "processing"), ended(document(image_id, seconds, status, **more))]


def embedding(seed: int) -> list[float]:
    """Numbers such as a network makes of a face."""
    source = random.Random(seed)
    return [round(source.uniform(-1, 1), 7) for _ in range(512)]


def keep(store: ObjectStore, said: dict[str, Any], seed: int | None = 1) -> None:
    """Store what the line stores of a picture: the original, its results, its findings."""
    image_id = said["image_id"]
    objects = {f"original/{image_id}.jpg": b"jpeg", f"results/{image_id}.json": json.dumps(said).encode()}
    if seed is not None:
        face = {"box": [5, 5, 9, 9], "embedding": embedding(seed), "model": "facenet@2", "model_sha256": SHA}
        objects[f"findings/{image_id}.json"] = json.dumps({"image_id": image_id, "faces": [face]}).encode()
    store.put_all([StoredObject(key, data, "application/octet-stream") for key, data in objects.items()])


def dump(engine: Engine, *, tombstones: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, in order."""
    with reading(engine) as connection:
        return {
            table.name: [
                dict(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            ]
            for table in METADATA.sorted_tables
            if tombstones or table is not deleted_images
        }


def drop(engine: Engine) -> None:
    """Leave nothing of a catalogue."""
    with writing(engine) as connection:
        METADATA.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))


def upgrade(engine: Engine, revision: str) -> None:
    """Make the tables as an older version had them."""
    with writing(engine) as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(migrate.HERE))
        config.set_main_option("path_separator", "os")
        command.upgrade(config, revision)

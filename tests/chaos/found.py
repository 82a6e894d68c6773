"""What a deployment has of each picture: in the bucket and in the catalogue, comparable with another run's."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.deployment import BUCKET, Deployment

# What differs from one way down the line to the next, in documents and in rows.
OF_ONE_RUN = {
    *("image_id", "image_key", "uploaded_at", "completed_at", "updated_at", "created_at", "time", "hostname"),
    *("attempt", "traceparent", "stages", "history", "run", "runs", "task_id", "finished_at", "processing_time"),
}
OF_THE_WAY = ("tasks", "task_history")  # tables of what was tried, and when
TOMBSTONES = "deleted_images"
TABLES = """SELECT table_name FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name = 'image_key' AND table_name <> %s"""
Outputs = Mapping[str, str]
"""A key of the bucket with <id> in place of the picture's id, or a table → the SHA-256 of what one picture has there.

Of documents and rows, without what OF_ONE_RUN names.
"""


@dataclass
class Found:
    """What there is of one picture."""

    objects: dict[str, str] = field(default_factory=dict)
    """A key, with <id> in place of the id → the SHA-256 of what is there."""
    results: dict[str, Any] = field(default_factory=dict)
    """The document results/<id>.json; {} where there is none."""
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """A table of the catalogue → its rows."""

    @property
    def outputs(self) -> Outputs:
        """What its last run comes to, comparable with another run of the same file."""
        tables = {name: _digest(rows) for name, rows in self.rows.items() if name not in OF_THE_WAY}
        return {**self.objects, **tables}

    def __str__(self) -> str:
        return f"{sorted(self.objects)} in the bucket, {sorted(self.rows)} in the catalogue"


def everything(on: Deployment) -> dict[str, Found]:
    """Look at the whole bucket and the whole catalogue: a picture's id → what there is of it."""
    found: dict[str, Found] = defaultdict(Found)
    bucket = on.bucket
    for key in sorted(on.stored()):
        answer = bucket.get_object(BUCKET, key)
        data = answer.read()
        answer.close()
        answer.release_conn()
        folder, _, name = key.partition("/")
        image_id = name.rpartition(".")[0] or key
        found[image_id].objects[key.replace(image_id, "<id>")] = _digest_of_object(data, image_id)
        if folder == "results":
            found[image_id].results = json.loads(data)
    for (table,) in on.rows(TABLES, TOMBSTONES):
        for (row,) in on.rows(f"SELECT row_to_json(each) FROM {table} AS each"):
            found[row["image_key"]].rows[table].append(row)
    return found


def _digest_of_object(data: bytes, image_id: str) -> str:
    if data.startswith(b"{"):
        return _digest(json.loads(data.replace(image_id.encode(), b"<id>")))
    return hashlib.sha256(data).hexdigest()


def _digest(value: Any) -> str:
    """Of a document, or of rows in any order."""
    if isinstance(value, list):
        value = sorted(json.dumps(_lasting(row), sort_keys=True).replace(row["image_key"], "<id>") for row in value)
    return hashlib.sha256(json.dumps(_lasting(value), sort_keys=True).encode()).hexdigest()


def _lasting(value: Any) -> Any:
    """Leave out what belongs to one run."""
    if isinstance(value, dict):
        return {name: _lasting(each) for name, each in value.items() if name not in OF_ONE_RUN}
    return [_lasting(each) for each in value] if isinstance(value, list) else value

"""The catalogue's speed, with a real PostgreSQL: `python -m benchmarks.catalogue --rows 1000000`.

Fills a database with so many pictures, and prints how long the queries behind GET /images, GET /status and the rest
take, and how many events a second the writer writes: submitted, processing and completed pictures, each with five
detections, a category, a candidate, a face with its embedding, and seven entries of history.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from stageline.catalogue import Catalogue, Filter, cursor, open_engine
from stageline.catalogue.engine import writing
from stageline.catalogue.migrate import migrate
from stageline.catalogue.writer import Writer
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.servers import postgres_server

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STAGES = ("grab", *(stage.name for stage in line.LINE))
ON_DISK = ("-c", "fsync=on", "-c", "full_page_writes=on", "-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB")
# A picture every 20 s; one in a hundred failed, a handful still move; 80 classes, of which few are common.
PICTURES = """
INSERT INTO image_info (image_key, filename, filename_key, kind, status, width, height, bytes, sha256, original_path,
    batch_id, run, rank, uploaded_at, updated_at, completed_at)
SELECT '01K' || lpad(upper(to_hex(n)), 23, '0'), 'IMG_' || n % 50000 || '.jpg', 'IMG_' || n % 50000 || '.jpg',
    CASE WHEN n % 10 < 3 THEN 'face' ELSE 'object' END,
    CASE WHEN n > :rows - 50 THEN 'processing' WHEN n % 100 = 7 THEN 'failed' WHEN n % 500 = 9 THEN 'waiting'
        ELSE 'completed' END,
    640, 480, 60000 + n % 100000, md5(n::text) || md5((n + 1)::text), 'original/' || n || '.jpg',
    CASE WHEN n % 4 = 0 THEN 'batch-' || n / 400 END, 1, CASE WHEN n > :rows - 50 THEN 1 ELSE 3 END,
    moment, moment + interval '3 seconds', moment + interval '3 seconds'
FROM (
    SELECT n, CAST(:began AS timestamptz) + n * interval '20 seconds' AS moment FROM generate_series(1, :rows) n
) pictures
"""
PREDICTIONS = """
INSERT INTO prediction_results (image_key, task, position, category, confidence, hostname, time, model, version, box,
    uploaded_at)
SELECT image_key, 'object-detection', position,
    CASE WHEN random() < 0.4 THEN 'person' ELSE 'class ' || floor(80 * random() ^ 3) END,
    0.3 + 0.7 * random(), 'detect-0', completed_at, 'yolox-nano', '0.1.1-1', '[1, 2, 3, 4]', uploaded_at
FROM image_info, generate_series(0, 2) position WHERE status IN ('completed', 'waiting')
"""
# Every picture has a candidate: one of ten categories, one of which is rarely named.
CANDIDATES = """
INSERT INTO prediction_results (image_key, task, position, category, confidence, hostname, time, model, version, named,
    uploaded_at)
SELECT image_key, 'image-classification', -1,
    CASE WHEN random() < 0.1 THEN 'toaster' ELSE 'class ' || floor(9 * random()) END,
    0.8 * random(), 'classify-0', completed_at, 'squeezenet-cifar10', '2', false, uploaded_at
FROM image_info WHERE status IN ('completed', 'waiting')
"""
RARE = """
UPDATE prediction_results SET category = 'toaster' WHERE position = 0 AND image_key IN
    (SELECT image_key FROM image_info WHERE status = 'completed' ORDER BY sha256 LIMIT 20)
"""
ROUNDS = 200


def main() -> None:
    """Measure, and print."""
    words = argparse.ArgumentParser(description="The catalogue's speed with a real PostgreSQL.")
    words.add_argument("--rows", type=int, default=1_000_000, help="pictures in the catalogue")
    words.add_argument("--events", type=int, default=30_000, help="events to write")
    chosen = words.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres_server(Path(folder) / "postgres", *ON_DISK) as server:
        settings = Settings(database_url=server.create_database("catalogue"), stageline_data=Path(folder) / "data")
        engine = open_engine(settings, 600)
        migrate(engine)
        _fill(engine, chosen.rows)
        _measure_reader(open_engine(settings), chosen.rows)
        _measure_writer(engine, FolderStore(Path(folder) / "bucket"), chosen.events)


def _fill(engine: Engine, rows: int) -> None:
    began = time.perf_counter()
    with writing(engine) as connection:
        connection.execute(text(PICTURES), {"rows": rows, "began": BEGAN})
        for statement in (PREDICTIONS, RARE, CANDIDATES):
            connection.execute(text(statement))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    print(f"{rows} pictures in the catalogue, each with three findings and a candidate,")
    print(f"after {time.perf_counter() - began:.0f} s\n")


def _measure_reader(engine: Engine, rows: int) -> None:
    catalogue = Catalogue(engine)
    middle = BEGAN + timedelta(seconds=10 * rows)
    late = BEGAN + timedelta(seconds=20 * rows - 9999)
    filters = {
        "all": Filter(), "status=completed": Filter(status="completed"), "status=failed": Filter(status="failed"),
        "status=processing": Filter(status="processing"), "kind=face": Filter(kind="face"),
        "category=person": Filter(category="person"), "category=toaster (20 pictures)": Filter(category="toaster"),
        "category that nothing is": Filter(category="unicorn"),
        "category=person, kind=face": Filter(category="person", kind="face"),
        "category=person, status=failed (none)": Filter(category="person", status="failed"),
        "category=toaster, status=completed": Filter(category="toaster", status="completed"),
        "category=toaster, status=failed": Filter(category="toaster", status="failed"),
        "until the middle": Filter(until=middle), "since near the end": Filter(since=late),
        "filename": Filter(filename="IMG_4711.jpg"),
        "status=failed, kind=face (none)": Filter(status="failed", kind="face"),
    }  # fmt: skip
    print(f"{'query, pages of 50':40} {'p50 ms':>8} {'p95 ms':>8} {'deep p50':>9} {'deep p95':>9}")
    for name, wanted in filters.items():
        first = _times(lambda wanted=wanted: catalogue.pictures(wanted))  # type: ignore[misc]
        place = _deep(catalogue, wanted)
        deep = _times(lambda wanted=wanted, place=place: catalogue.pictures(wanted, place)) if place else None  # type: ignore[misc]
        print(f"{name:40} {first[0]:8.2f} {first[1]:8.2f}" + (f" {deep[0]:9.2f} {deep[1]:9.2f}" if deep else ""))
    source = random.Random(1)
    keys = [f"01K{source.randrange(rows):023X}" for _ in range(ROUNDS)]
    for name, ask in {
        "picture": lambda n: catalogue.picture(keys[n]),
        "newest_named": lambda n: catalogue.newest_named(f"IMG_{n}.jpg"),
        "by_sha256": lambda n: catalogue.by_sha256(f"{n:064x}"),
        "batch (100 pictures)": lambda n: catalogue.batch(f"batch-{n}"),
    }.items():
        numbers = iter(range(ROUNDS + 1))
        p50, p95 = _times(lambda ask=ask, numbers=numbers: ask(next(numbers) % ROUNDS))  # type: ignore[misc]
        print(f"{name:40} {p50:8.2f} {p95:8.2f}")
    began = time.perf_counter()
    catalogue.counts()
    print(f"{'counts':40} {1000 * (time.perf_counter() - began):8.2f}\n")


def _deep(catalogue: Catalogue, wanted: Filter) -> str | None:
    """Return a cursor two thirds of the way to the oldest picture."""
    from dataclasses import replace

    newest = catalogue.pictures(wanted, limit=1).images
    if not newest:
        return None
    at = BEGAN + (datetime.fromisoformat(newest[0]["uploaded_at"]) - BEGAN) / 3
    found = catalogue.pictures(replace(wanted, until=at), limit=1).images
    if not found:
        return None
    return cursor.encode(datetime.fromisoformat(found[0]["uploaded_at"]), found[0]["image_id"], repr(wanted))


def _times(ask: Callable[[], object]) -> tuple[float, float]:
    """Return p50 and p95 in milliseconds."""
    ask()
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        taken.append(1000 * (time.perf_counter() - began))
    return float(np.percentile(taken, 50)), float(np.percentile(taken, 95))


def _measure_writer(engine: Engine, store: FolderStore, count: int) -> None:
    events = list(_outbox_events(count // 3))
    numbers = [round(random.Random(1).uniform(-0.1, 0.1), 7) for _ in range(512)]
    for begin in range(0, count // 3, 500):
        store.put_all([_findings(n, numbers) for n in range(begin, min(begin + 500, count // 3))])
    writer = Writer(engine, store, 0)
    cpu, began = time.process_time(), time.perf_counter()
    for begin in range(0, len(events), 500):
        writer.apply(events[begin : begin + 500])
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"the writer: {len(events) / seconds:.0f} events a second, in batches of 500, each committed to the disk")
    print(f"            {1e6 * cpu / len(events):.0f} µs of CPU each, without PostgreSQL's")


def _findings(n: int, numbers: list[float]) -> StoredObject:
    face = {"box": [5, 5, 9, 9], "embedding": numbers, "model": "facenet@1"}
    return StoredObject(f"findings/w{n}.json", json.dumps({"faces": [face]}).encode(), "application/json")


def _outbox_events(pictures: int) -> Iterator[bytes]:
    """Yield each picture's three events, in the order of a line with a hundred pictures in flight."""
    for n in range(pictures + 100):
        if n < pictures:
            yield _outbox_event(n, "submitted", {"status": "submitted", "stages": {"grab": _entry("grab", n)}})
            yield _outbox_event(n, "processing", None)
        if n >= 100:
            yield _outbox_event(n - 100, "completed", _found(n - 100))


def _outbox_event(n: int, status: str, more: dict[str, Any] | None) -> bytes:
    event: dict[str, Any] = {"image_id": f"w{n}", "run": 1, "status": status, "at": _at(n)}
    if more is not None:
        own = {"image_id": f"w{n}", "filename": f"w{n}.jpg", "file_size": 61306, "original_path": f"original/w{n}.jpg"}
        own |= {
            "sha256": f"{n:064x}",
            "uploaded_at": _at(n),
            "runs": [{"run": 1, "from": "resize", "created_at": _at(n)}],
        }
        event["document"] = {**own, **more}
    return json.dumps(event, separators=(",", ":")).encode()


def _found(n: int) -> dict[str, Any]:
    source = random.Random(n)
    model = {"model": "yolox-nano@0.1.1-1", "model_sha256": "c7" * 32}
    corners = [[round(source.uniform(0, 640), 1) for _ in range(4)] for _ in range(5)]
    detections = [{"label": f"class {source.randrange(80)}", "score": 0.5, "box": box, **model} for box in corners]
    face = {"score": 0.99, "box": [90.1, 30.0, 140.7, 98.4], "landmarks": [[101.0, 55.2]] * 5, "model": "mtcnn@1"}
    face["embedding"] = {"key": f"findings/w{n}.json", "index": 0}
    stages = {stage: _entry(stage, n) for stage in STAGES}
    return {
        "status": "completed", "kind": "face", "origin_w": 640, "origin_h": 480, "detections": detections,
        "faces": [face],
        "categories": [{"category": "automobile", "confidence": 0.97, "box": None, **model}],
        "candidates": [{"category": "truck", "confidence": 0.4, "box": corners[0], **model, "reason": "unsure"}],
        "stages": stages,
        "history": [{"stage": "detect", **_entry("detect", n), "state": "retrying", "reason": "try again"}],
        "updated_at": _at(n + 1), "completed_at": _at(n + 1),
    }  # fmt: skip


def _entry(stage: str, n: int) -> dict[str, Any]:
    keys = [f"{stage}/w{n}.jpg"]
    entry = {"state": "done", "run": 1, "attempt": 1, "worker": f"{stage}_queue:{stage}-0:0123456789ab", "ms": 4.1}
    return entry | {"started": _at(n), "finished": _at(n), "key": keys[0], "keys": keys}


def _at(n: int) -> str:
    return (BEGAN + timedelta(milliseconds=n)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


if __name__ == "__main__":
    main()

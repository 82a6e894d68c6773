"""Measures the API's queries with a full catalogue: a part of ``python -m benchmarks.api --rows N``."""

import http.client
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from urllib.parse import quote

from benchmarks.catalogue import BEGAN, ON_DISK
from benchmarks.catalogue import _fill as fill
from stageline.catalogue.engine import open_engine
from stageline.catalogue.migrate import migrate
from stageline.core.settings import Settings
from stageline.local.ports import HOST
from stageline.pipeline import line
from stageline.store import ObjectStore
from stageline.store.base import StoredObject
from tests.support.servers import PostgresServer

ROUNDS = 300
SOME = 200  # pictures with results in the bucket
LIMITS_MS = {"GET /status": 5.0, "GET /images": 20.0}  # the goals for 95 of 100 answers
Figures = dict[str, dict[str, float]]


def full_catalogue(server: PostgresServer, rows: int) -> str:
    """Fill a new database with `rows` pictures; return its URL."""
    url = server.create_database("catalogue")
    engine = open_engine(Settings(database_url=url), 600)
    migrate(engine)
    fill(engine, rows)
    engine.dispose()
    return url


def server_arguments() -> Sequence[str]:
    """Return the settings of PostgreSQL for this."""
    return ON_DISK


def keys_of(rows: int) -> list[str]:
    """Return some of the ids in such a catalogue."""
    source = random.Random(1)
    return [f"01K{source.randrange(1, rows):023X}" for _ in range(SOME)]


def put_results(store: ObjectStore, keys: Sequence[str]) -> None:
    """Store results of usual size for pictures that Redis no longer knows."""
    found = {"score": 0.9, "box": [12.5, 40.5, 310.2, 222.8], "model": "yolox-nano@0.1.1-1", "model_sha256": "7e" * 32}
    entry = {"state": "done", "attempt": 1, "worker": "detect:0", "started": "2026-11-21T14:00:00.000Z", "ms": 4.1}
    for key in keys:
        document = {
            "image_id": key, "filename": "street.jpg", "file_size": 163840, "original_path": f"original/{key}.jpg",
            "status": "completed", "run": 1, "detections": [{"label": "car", **found}] * 6, "faces": [found] * 2,
            "stages": dict.fromkeys(("grab", *(stage.name for stage in line.LINE)), entry),
        }  # fmt: skip
        store.put(StoredObject(f"results/{key}.json", json.dumps(document, indent=2).encode(), "application/json"))


def queries(rows: int, moving: Sequence[str], known: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the queries: a name, and the paths to request in turn."""
    middle = quote((BEGAN + timedelta(seconds=10 * rows)).isoformat())
    yield "GET /status (moving)", [f"/status/{key}" for key in moving]
    yield "GET /status (results in the bucket)", [f"/status/{key}" for key in known]
    yield "GET /status (by filename)", [f"/status/IMG_{number}.jpg" for number in range(SOME)]
    filters = ("", "status=completed", "status=failed", "status=processing", "kind=face", "category=person")
    for given in (*filters, "category=toaster", "filename=IMG_4711.jpg", f"until={middle}"):
        yield (
            f"GET /images ({given.partition('=')[0] if given.startswith('until') else given or 'newest 50'})",
            [f"/images?{given}"],
        )
    yield "GET /images (200 a page)", ["/images?limit=200"]


def measure(port: int, asked: Iterator[tuple[str, list[str]]]) -> Figures:
    """Send the requests one after the other, on one connection; return p50 and p95 in milliseconds."""
    found: Figures = {}
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    for name, paths in asked:
        taken = []
        for number in range(ROUNDS + 5):
            began = time.perf_counter()
            connection.request("GET", paths[number % len(paths)])
            answer = connection.getresponse()
            body = answer.read()
            taken.append(1000 * (time.perf_counter() - began))
            if answer.status != 200:
                raise RuntimeError(f"{paths[number % len(paths)]} answered {answer.status}: {body[:300]!r}")
        ordered = sorted(taken[5:])
        found[name] = {"p50_ms": ordered[ROUNDS // 2], "p95_ms": ordered[int(ROUNDS * 0.95)], "bytes": len(body)}
    connection.close()
    return found


def report(found: Mapping[str, Mapping[str, float]], rows: int) -> Iterator[str]:
    """Yield the figures as text."""
    yield f"answers through gunicorn with {rows:,} pictures in the catalogue"
    yield f"{'':>38} {'p50 ms':>8} {'p95 ms':>8} {'p95 to be under':>16}"
    for name, each in found.items():
        limit = next(most for begins, most in LIMITS_MS.items() if name.startswith(begins))
        yield f"{name:>38} {each['p50_ms']:8.2f} {each['p95_ms']:8.2f} {limit:16.0f}"

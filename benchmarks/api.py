"""Measures the HTTP API on one core, behind gunicorn.

    python -m benchmarks.api PICTURES_FOLDER [--seconds N] [--senders N] [--store folder] [--rows N] [--json FILE]

The API is pinned to the first core this process may use; Redis, MinIO and the senders get the others. Each way of
sending, as a form and as the raw body, is measured for some seconds after a warm-up: uploads per second, the CPU time
that each process spends on an upload, and how many uploads one core would take if nothing else slowed it. With --rows
a PostgreSQL is filled with so many pictures, and it is measured how soon GET /status and GET /images answer.
"""

import argparse
import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import api_queries
from stageline.broker.producer import Producer
from stageline.cli.folders import pictures_in
from stageline.core.settings import Settings
from stageline.local.ports import HOST, free_port
from stageline.store import open_store
from tests.support.processes import cpu_seconds
from tests.support.running_line import inherited
from tests.support.servers import minio_server, postgres_server, redis_server

WARM_UP_SECONDS = 2.0
STATUSES = "stageline:status:*"
BOUNDARY = "stageline-benchmark"
Figures = dict[str, Any]


class PinnedApi:
    """``python -m grab_service`` on one core."""

    def __init__(self, folder: Path, core: int, environment: dict[str, str]) -> None:
        self.port = free_port()
        own = {"PORT": str(self.port), "HOST": HOST, "STAGELINE_DATA": str(folder), "LOG_LEVEL": "INFO"}
        self._log = (folder / "api.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "grab_service"],
            env={**inherited(), **own, "MAX_QUEUE_SIZE": "100000000", **environment},
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        os.sched_setaffinity(self.process.pid, {core})

    def wait_until_ready(self) -> None:
        """Wait until it reports that its servers are reachable."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if get(self.port, "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise RuntimeError("the API did not come up")

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


class Running(NamedTuple):
    """The API, the processes whose CPU time is counted, and the settings that they share."""

    api: PinnedApi
    pids: dict[str, int]
    settings: Settings


def get(port: int, path: str) -> tuple[int, bytes]:
    """Send a GET on a new connection."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def as_form(data: bytes) -> tuple[bytes, str]:
    """Return the body and the content type of a form with the picture."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


def as_body(data: bytes) -> tuple[bytes, str]:
    """Return the picture as the body, and its content type."""
    return data, "application/octet-stream"


WAYS = {"multipart": as_form, "raw": as_body}


def of_mean_size(data: Sequence[bytes], most: int) -> list[bytes]:
    """Return the pictures, without the largest ones if their mean size is above ``most``."""
    kept = sorted(data, key=len)
    while len(kept) > 1 and sum(map(len, kept)) > most * len(kept):
        kept.pop()
    return kept


class Senders:
    """Threads that send pictures, one after the other, each on a kept-alive connection."""

    def __init__(self, port: int, bodies: Sequence[tuple[bytes, str]], count: int) -> None:
        self._port, self._bodies = port, bodies
        self._ending = threading.Event()
        self.latencies: list[float] = []
        self.refused: list[int] = []
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(count)]

    def run(self, seconds: float) -> float:
        """Send for that many seconds; return the actual duration."""
        began = time.monotonic()
        for thread in self._threads:
            thread.start()
        time.sleep(seconds)
        self._ending.set()
        for thread in self._threads:
            thread.join()
        return time.monotonic() - began

    def _send(self, first: int) -> None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        for body, kind in itertools.islice(itertools.cycle(self._bodies), first * 7, None):
            if self._ending.is_set():
                break
            began = time.monotonic()
            connection.request("POST", "/upload", body, {"Content-Type": kind})
            answer = connection.getresponse()
            answer.read()
            self.latencies.append(time.monotonic() - began)
            if answer.status != 202:
                self.refused.append(answer.status)
        connection.close()


def measure_way(line: Running, way: str, data: Sequence[bytes], options: argparse.Namespace) -> Figures:
    """Measure one form of upload."""
    bodies = [WAYS[way](each) for each in data]
    Senders(line.api.port, bodies, options.senders).run(WARM_UP_SECONDS)
    before = {name: cpu_seconds(pid) for name, pid in line.pids.items()}
    senders = Senders(line.api.port, bodies, options.senders)
    seconds = senders.run(options.seconds)
    count = len(senders.latencies)
    cpu = {name: 1000 * (cpu_seconds(pid) - before[name]) / count for name, pid in line.pids.items()}
    ordered = sorted(senders.latencies)
    return {
        "uploads_per_second": count / seconds,
        "refused": len(senders.refused),
        "cpu_ms_per_upload": cpu,
        "uploads_per_second_of_one_core": 1000 / cpu["api"],
        "core_used": cpu["api"] * count / seconds / 1000,
        "latency_ms": {f"p{share}": 1000 * ordered[int(count * share / 100)] for share in (50, 95, 99)},
    }


@contextmanager
def running(folder: Path, store: str, rows: int) -> Iterator[Running]:
    """Start the API and its servers, on separate cores where there are two; fill the catalogue with `rows` pictures."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[1:]) or set(cores))  # child processes inherit it
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, set(cores))
        redis = stack.enter_context(redis_server(folder / "redis"))
        environment, pids = {"REDIS_URL": redis.url}, {"redis": redis.pid}
        if store == "minio":
            minio = stack.enter_context(minio_server(folder / "minio"))
            keys = {"MINIO_ACCESS_KEY": minio.access_key, "MINIO_SECRET_KEY": minio.secret_key}
            environment |= {"MINIO_ENDPOINT": minio.endpoint, **keys}
            pids["minio"] = minio.pid
        if rows:
            postgres = stack.enter_context(postgres_server(folder / "postgres", *api_queries.server_arguments()))
            environment["DATABASE_URL"] = api_queries.full_catalogue(postgres, rows)
        api = PinnedApi(folder, cores[0], environment)
        stack.callback(api.stop)
        api.wait_until_ready()
        found = {name.lower(): value for name, value in environment.items()}
        yield Running(
            api, {"api": api.process.pid, **pids}, Settings.model_validate({**found, "stageline_data": folder})
        )


def measure_queries(line: Running, rows: int) -> api_queries.Figures:
    """Measure the answers to queries, from the API that took the uploads before."""
    moving = [
        key.decode().rpartition(":")[2] for key in Producer(line.settings.redis_url, 1).client.scan_iter(STATUSES)
    ]
    known = api_queries.keys_of(rows)
    api_queries.put_results(open_store(line.settings), known)
    return api_queries.measure(line.api.port, api_queries.queries(rows, moving[: api_queries.SOME], known))


def report(found: dict[str, Figures], mean_kib: float) -> Iterator[str]:
    """Yield the figures as text."""
    yield f"uploads of {mean_kib:.0f} KiB on one core behind gunicorn"
    for way, each in found.items():
        cpu = ", ".join(f"{name} {ms:.2f}" for name, ms in each["cpu_ms_per_upload"].items())
        latency = ", ".join(f"{name} {ms:.1f}" for name, ms in each["latency_ms"].items())
        yield f"{way:>10}: {each['uploads_per_second']:.0f} uploads/s with {100 * each['core_used']:.0f} % of the core"
        alone = each["uploads_per_second_of_one_core"]
        yield f"{'':>12}CPU ms per upload: {cpu}; so one core takes {alone:.0f} uploads/s"
        yield f"{'':>12}latency ms: {latency}; refused: {each['refused']}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--kib", type=int, default=160, help="leave out the largest pictures until the mean is below")
    parser.add_argument("--store", choices=["minio", "folder"], default="minio")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=0, help="ask for pictures, too, with so many in the catalogue")
    options = parser.parse_args()
    data = of_mean_size([path.read_bytes() for path in pictures_in([options.pictures]).pictures], 1024 * options.kib)
    found: Figures = {}
    with (
        tempfile.TemporaryDirectory(prefix="stageline-api-") as scratch,
        running(Path(scratch), options.store, options.rows) as line,
    ):
        found["uploads"] = {way: measure_way(line, way, data, options) for way in WAYS}
        print("\n".join(report(found["uploads"], sum(map(len, data)) / len(data) / 1024)))
        if options.rows:
            found["answers"] = measure_queries(line, options.rows)
            print("\n".join(api_queries.report(found["answers"], options.rows)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Measures what the hot cache saves: a line with it and a line without it, in turns, and the cost of each call.

    python -m benchmarks.cache PICTURES_FOLDER [--rounds N] [--laps N] [--store minio|folder] [--json FILE]

Both lines have a Redis and a store of their own, and stay up to the end; the one has a cache beside. CPU is summed over
all services and servers, the cache's among them. With `--laps 0` only the calls are measured: CPU of the client and of
the server, by size of the object.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.contenders import Lap, OurLine
from benchmarks.line import WARM_UP, Figures, figures, median_of
from stageline.cli.folders import pictures_in
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.local.embedded import CACHE_OPTIONS
from stageline.registry.install import by_default, install_all
from stageline.store import CachedStore, FolderStore, HotCache, S3Store
from stageline.store.base import StoredObject
from tests.support.processes import cpu_seconds
from tests.support.servers import MinioServer, RedisServer, minio_server, redis_server

SIZES = (2, 30, 160)  # KB: a JSON, a small grey picture, an upload
CALLS = 200
TOGETHER = 8  # pictures written in one request when the line is full
NAMES = {"without": "without a cache", "with": "with the cache"}


class CachedLine(OurLine):
    """The line with its own hot cache, as `stageline up` starts it."""

    name = NAMES["with"]

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._cache = RedisServer(folder / "cache", CACHE_OPTIONS)
        self._cache.start()
        try:
            super().__init__(folder, {}, {**environment, "CACHE_URL": self._cache.url})
        except BaseException:
            self._cache.stop()
            raise
        self._stack.callback(self._cache.stop)

    def counts(self) -> dict[str, int]:
        """Return the hits and misses of all stages' reads, and the number of evicted copies."""
        reads: Counter[str] = Counter()
        for port in self._line.state["health"].values():
            page = urllib3.request("GET", f"http://127.0.0.1:{port}/metrics").data.decode()
            for family in text_string_to_metric_families(page):
                if family.name == "stageline_cache_reads":
                    samples = (sample for sample in family.samples if sample.name.endswith("_total"))
                    reads.update({sample.labels["result"]: int(sample.value) for sample in samples})
        client: redis.Redis = redis.Redis.from_url(self._cache.url, protocol=2)
        found: Mapping[str, Any] = client.info("stats")
        return {**reads, "evicted": int(found["evicted_keys"])}

    def _pids(self) -> dict[str, int]:
        return {**super()._pids(), "cache": self._cache.pid}


class PlainLine(OurLine):
    """The line without a cache."""

    name = NAMES["without"]

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        super().__init__(folder, {}, {**environment, "CACHE_URL": "off"})


def cost(call: Callable[[int], object], pid: int | None = None, times: int = CALLS) -> float:
    """Return the CPU milliseconds of one call: of this process, and of the server `pid`."""
    call(-1)

    def spent() -> float:
        return time.process_time() + (cpu_seconds(pid) if pid else 0.0)

    before = spent()
    for number in range(times):
        call(number)
    return 1000 * (spent() - before) / times


def _objects(kb: int, number: int) -> list[StoredObject]:
    data = os.urandom(kb * 1024)
    return [StoredObject(f"original/{kb}-{n}.jpg", data, "image/jpeg") for n in range(number)]


def calls(folder: Path) -> dict[str, dict[str, float]]:
    """Return the CPU milliseconds of each call of each store, by size."""
    with redis_server(folder / "redis", *CACHE_OPTIONS) as cache, minio_server(folder / "minio") as minio:
        plain, local = _s3(minio), FolderStore(folder / "bucket")
        hot = HotCache(cache.url, 3600, "images")
        cached = CachedStore(local, hot)
        for store in (plain, local):
            store.check()
        return {f"{kb} KB": _of_size(kb, plain, local, hot, cached, cache.pid, minio.pid) for kb in SIZES}


def _of_size(
    kb: int, plain: S3Store, local: FolderStore, hot: HotCache, cached: CachedStore, cache_pid: int, minio_pid: int
) -> dict[str, float]:
    items = _objects(kb, TOGETHER)
    plain.put_all(items)
    cached.put_all(items)
    copies = {item.key: item.data for item in items}

    def keep(some: Mapping[str, bytes]) -> None:
        mark = hot.begin_write(list(some))
        if mark is None:
            raise RuntimeError("the cache does not answer")
        hot.finish_write(mark, some)

    first = dict(list(copies.items())[:1])
    return {
        "read from MinIO": cost(lambda n: plain.get(items[n % TOGETHER].key), minio_pid),
        "read from a folder": cost(lambda n: local.get(items[n % TOGETHER].key)),
        "read from the cache": cost(lambda n: cached.get(items[n % TOGETHER].key), cache_pid),
        "keep one alone": cost(lambda _: keep(first), cache_pid),
        f"keep one of {TOGETHER}": cost(lambda _: keep(copies), cache_pid) / TOGETHER,
    }


def _s3(minio: MinioServer) -> S3Store:
    keys = {"minio_access_key": minio.access_key, "minio_secret_key": minio.secret_key}
    return S3Store.from_settings(Settings.model_validate({"minio_endpoint": minio.endpoint, **keys}))


def measure(pictures: Sequence[Path], options: argparse.Namespace) -> dict[str, Figures]:
    """Run the two lines in turns; stop everything at the end."""
    environment = {"MODELS_DIR": str(options.models.absolute())}
    if options.store == "folder":
        environment["MINIO_ENDPOINT"] = ""
    with tempfile.TemporaryDirectory(prefix="stageline-bench-") as scratch, ExitStack() as stack:
        cached = CachedLine(Path(scratch) / "with", environment)
        stack.callback(cached.stop)
        plain = PlainLine(Path(scratch) / "without", environment)
        stack.callback(plain.stop)
        lines: dict[str, OurLine] = {"without": plain, "with": cached}
        for each in lines.values():
            each.lap(pictures[:WARM_UP])
        laps: dict[str, list[Lap]] = {name: [] for name in lines}
        for number in range(options.laps):
            for name, each in lines.items():
                lap = each.lap(list(pictures) * options.rounds)
                laps[name].append(lap)
                busy = f"{lap.pictures / lap.seconds:.1f} pictures/s; others used {lap.others / lap.seconds:.2f} cores"
                _note(f"lap {number + 1}: {NAMES[name]} {busy}")
        found = {name: figures(laps[name], {}) for name in lines}
        found["with"]["cache"] = cached.counts()
        return found


def report(found: Mapping[str, Figures]) -> Iterator[str]:
    """Yield the lines' figures, side by side."""
    columns = [found[name] for name in NAMES]
    yield _row("", list(NAMES.values()))
    yield _row("pictures/s", [f"{each['pictures_per_second']:.1f}" for each in columns])
    for share in ("p50", "p95", "p99"):
        yield _row(f"{share} accepted to tagged, s", [f"{each['latency_seconds'][share]:.2f}" for each in columns])
    for name in dict.fromkeys(name for each in columns for name in each["cpu_ms_per_picture"]):
        shown = [each["cpu_ms_per_picture"].get(name) for each in columns]
        yield _row(f"CPU ms per picture: {name}", ["" if each is None else f"{each:.2f}" for each in shown])
    without, with_it = (each["cpu_ms_per_picture_in_all"] for each in columns)
    yield _row("CPU ms per picture, in all", [f"{without:.1f}", f"{with_it:.1f}"])
    yield ""
    yield f"The cache saves {without - with_it:.1f} ms of CPU per picture, {100 * (1 - with_it / without):.1f} %."
    yield f"The stages' reads: {', '.join(f'{name} {value}' for name, value in found['with']['cache'].items())}."


def report_calls(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the calls' figures, a row each."""
    yield _row("CPU ms per call, both sides", list(found))
    for name in median_of(list(found.values())):
        yield _row(name, [f"{each[name]:.3f}" for each in found.values()])
    yield ""


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<34}" + "".join(f"{cell:>18}" for cell in cells)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cache", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="PICTURES_FOLDER")
    parser.add_argument("--rounds", type=int, default=3, help="times that all pictures are sent in a lap")
    parser.add_argument("--laps", type=int, default=3, help="turns that each line has; 0: only the calls")
    parser.add_argument("--store", choices=("minio", "folder"), default="minio", help="what the cache stands before")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"), help="where models are installed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def main() -> int:
    """Measure and report; return 0, or 2 if something is missing."""
    options = _options()
    try:
        with tempfile.TemporaryDirectory(prefix="stageline-bench-") as scratch:
            by_call = calls(Path(scratch))
        print("\n".join(report_calls(by_call)), flush=True)
        found: dict[str, Figures] = {}
        if options.laps:
            install_all(by_default(), Settings(models_dir=options.models))
            found = measure(pictures_in([options.folder]).pictures, options)
            print("\n".join(report(found)))
    except (ModelError, FileNotFoundError, RuntimeError) as error:
        _note(str(error))
        return 2
    if options.json:
        options.json.write_text(json.dumps({"calls": by_call, **found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

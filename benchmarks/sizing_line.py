"""The whole line for the sizing table: real servers, CPU and memory by workload, and the largest accepted pictures."""

import io
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import redis
from PIL import Image

from benchmarks.contenders import POLL_SECONDS, Lap, OurLine
from benchmarks.sizing_plan import STAGES, by_workload
from stageline.broker.keys import EVENTS, UNFINISHED
from stageline.client import Client
from stageline.local.embedded import CACHE_OPTIONS
from tests.support.processes import descendants
from tests.support.servers import PostgresServer, RedisServer

ON_DISK = ("-c", "fsync=on", "-c", "full_page_writes=on")
WIDTH, HEIGHT = 8000, 6250  # the most pixels that are accepted
MAX_BYTES = 24 * 1024 * 1024  # just under the limit: a form adds some bytes
NOISY_ROWS = 600  # of lossless pictures, so that they are nearly as large as allowed
KEPT_PER_PICTURE = ("status", "named", "sha256")
LARGE_SECONDS = 120.0  # that each of them may take
SAMPLE = 300  # keys of each kind whose size is asked for


class SizedLine(OurLine):
    """The line with a number of workers per stage, a hot cache, and a PostgreSQL that writes to the disk."""

    def __init__(self, folder: Path, workers: int, models: Path) -> None:
        self.name = f"{workers} worker{'s' * (workers > 1)} per stage"
        self._cache = RedisServer(folder / "cache", CACHE_OPTIONS)
        self._postgres = PostgresServer(folder / "postgres", ON_DISK)
        more = {"MODELS_DIR": str(models.absolute()), "MAX_QUEUE_SIZE": "1000000"}
        urls = {"CACHE_URL": self._cache.url, "DATABASE_URL": self._postgres.url}
        super().__init__(folder, dict.fromkeys(STAGES, workers), more | urls)

    def lap(self, pictures: Sequence[Path]) -> Lap:
        """See Contender; the CPU time by workload."""
        lap = super().lap(pictures)
        return replace(lap, cpu=by_workload(lap.cpu))

    def at_once(self, pictures: Sequence[Path]) -> None:
        """Send all pictures at the same moment, and wait for the last, longer than for usual ones.

        Raises:
            RuntimeError: one failed, or did not come to its end.
        """
        with ThreadPoolExecutor(len(pictures)) as pool:
            sent = list(pool.map(self._client.upload, pictures))
        deadline = time.monotonic() + LARGE_SECONDS * len(sent)
        while self._queue.zcard(UNFINISHED):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name}: large pictures are stuck; see {self._line.log}")
            time.sleep(POLL_SECONDS)
        self._done(sent)

    def memory(self) -> dict[str, float]:
        """Return the peak MiB of each workload; of PostgreSQL, the current MiB."""
        return self._memory("VmHWM")

    def memory_now(self) -> dict[str, float]:
        """Return the current MiB of each workload."""
        return self._memory("VmRSS")

    def kept_in_redis(self) -> dict[str, float]:
        """Return the mean bytes in Redis for each picture, by kind, and of each event."""
        client: redis.Redis = redis.Redis.from_url(self._redis.url)
        kept = {}
        for kind in KEPT_PER_PICTURE:
            keys = list(itertools.islice(client.scan_iter(f"stageline:{kind}:*", count=100), SAMPLE))
            kept[kind] = statistics.fmean(int(client.memory_usage(key) or 0) for key in keys)
        events = client.memory_usage(EVENTS, samples=0)
        return {**kept, "event": float(events) / int(client.xlen(EVENTS))}  # type: ignore[arg-type]

    def stored_bytes(self) -> int:
        """Return the used bytes of the store's disk."""
        return sum(
            path.stat().st_size for path in (self.folder / "minio" / "data" / "images").rglob("*") if path.is_file()
        )

    def _memory(self, figure: str) -> dict[str, float]:
        """Return MiB by workload; memory shared with the largest process of a workload counts once."""
        held = {name: _largest_and(_family(pid), figure) for name, pid in self._pids().items()}
        postgres = sum(_mib(pid, "smaps_rollup", "Pss") for pid in _family(self._postgres.pid))
        return by_workload(held) | {"postgres": postgres}  # whose processes share their buffers

    def _start(self) -> Client:
        for server in (self._cache, self._postgres):
            self._stack.callback(server.stop)
            server.start()
        return super()._start()

    def _pids(self) -> dict[str, int]:
        return {**super()._pids(), "cache": self._cache.pid, "postgres": self._postgres.pid}


def _family(pid: int) -> list[int]:
    return [pid, *descendants(pid)]


def _largest_and(pids: Sequence[int], figure: str) -> float:
    """Return a figure of the largest process plus the unshared part of the others."""
    sizes = sorted((_mib(pid, "status", figure), pid) for pid in pids)
    own = (_mib(pid, "smaps_rollup", kind) for _, pid in sizes[:-1] for kind in ("Private_Dirty", "Private_Clean"))
    return sizes[-1][0] + sum(own)


def _mib(pid: int, file: str, name: str) -> float:
    """Return a figure of a process in /proc, in MiB; 0 if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


def largest_pictures(folder: Path) -> list[Path]:
    """Return pictures of the most pixels and nearly the most bytes, in the formats that take the most memory."""
    even, chance = np.linspace(0, 255, WIDTH, dtype=np.uint8), np.random.default_rng(0)
    lossless = np.broadcast_to(even[:, None], (HEIGHT, WIDTH, 4)).copy()  # alpha too
    lossless[:NOISY_ROWS] = chance.integers(0, 256, (NOISY_ROWS, WIDTH, 4), dtype=np.uint8)
    coarse = chance.integers(0, 256, (HEIGHT // 5, WIDTH // 5, 3), dtype=np.uint8)
    fine = Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned on decoding
    turned = partial(fine.save, format="JPEG", exif=exif)
    cmyk = partial(fine.convert("CMYK").save, format="JPEG", progressive=True)
    png = partial(Image.fromarray(lossless, "RGBA").save, format="PNG", compress_level=1)
    webp = partial(Image.fromarray(lossless, "RGBA").save, format="WEBP", lossless=True, quality=0, method=0)
    files = {"turned.jpg": turned, "progressive-cmyk.jpg": cmyk, "alpha.png": png, "alpha.webp": webp}
    return [_written(folder / name, save) for name, save in files.items()]


def _written(file: Path, save: Callable[..., None]) -> Path:
    """Save with the highest quality that is small enough to be let in.

    Raises:
        AssertionError: none is.
    """
    for quality in (90, 80, 70, 60, 50, 40, 30):
        written = io.BytesIO()
        save(written, **({"quality": quality} if file.suffix == ".jpg" else {}))
        if written.tell() <= MAX_BYTES:
            file.write_bytes(written.getvalue())
            return file
    raise AssertionError(f"{file.name} is too large in every quality")

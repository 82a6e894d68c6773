"""The contenders of benchmarks/line.py: the line and the plain chain, each with its own Redis and MinIO."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import redis

from stageline.broker.keys import UNFINISHED, status_key
from stageline.client import Client
from stageline.local.ports import free_port
from tests.support.processes import cpu_seconds, descendants, peak_rss_mb
from tests.support.running_line import RunningLine, inherited
from tests.support.servers import MinioServer, RedisServer

SENDERS = 4
POLL_SECONDS = 0.02
START_SECONDS = 60.0
STALL_SECONDS = 60.0
PLAIN_STEPS = ("grab", "resize", "grayscale", "detect", "classify", "tag")
PLAIN_NEEDS = ("torch", "torchvision", "facenet_pytorch")


@dataclass(frozen=True)
class Lap:
    """The figures of one lap: wall seconds, CPU seconds by process, and seconds from 202 to done by picture.

    `others` are the CPU seconds of everything that ran beside it on this machine: much of it disturbs the lap.
    """

    pictures: int
    seconds: float
    cpu: Mapping[str, float]
    others: float
    latencies: Sequence[float]


def _busy_beside_us() -> float:
    """Return the CPU seconds of the whole machine since its start, with stolen ones, without those of this process."""
    user, nice, system, _idle, _waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK") - time.process_time()


class LineContender:
    """A line with its servers. Subclasses start services and count finished pictures."""

    name = ""

    def __init__(self, folder: Path) -> None:
        """Start everything, with data and logs below `folder`; after a failure, stop what was started."""
        self.folder = folder
        self._stack = ExitStack()
        self._redis, self._minio = RedisServer(folder / "redis"), MinioServer(folder / "minio")
        try:
            for server in (self._redis, self._minio):
                self._stack.callback(server.stop)
                server.start()
            self._queue = redis.Redis.from_url(self._redis.url, decode_responses=True, socket_timeout=None)
            self._client = self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the services, then the servers."""
        self._stack.close()

    def lap(self, pictures: Sequence[Path]) -> Lap:
        """Send pictures from four threads, and wait for the last."""
        sent: dict[str, float] = {}
        all_sent = threading.Event()

        def send(path: Path) -> None:
            image_id = self._client.upload(path)
            sent[image_id] = time.time()

        before, started, busy = self._cpu(), time.monotonic(), _busy_beside_us()
        with ThreadPoolExecutor(SENDERS + 1) as pool:
            waiting = pool.submit(self._wait, len(pictures), all_sent)
            sending = [pool.submit(send, path) for path in pictures]
            try:
                for each in sending:
                    each.result()
            finally:
                all_sent.set()
            done = waiting.result()
        seconds, after, busy = time.monotonic() - started, self._cpu(), _busy_beside_us() - busy
        done = done or self._done(list(sent))
        cpu = {name: after[name] - before[name] for name in after}
        others = max(0.0, busy - sum(cpu.values()))
        latencies = [max(0.0, done[image_id] - at) for image_id, at in sent.items()]
        return Lap(len(pictures), seconds, cpu, others, latencies)

    def memory(self) -> dict[str, float]:
        """Return the peak memory of each process and its children, in MiB."""
        return {name: sum(map(peak_rss_mb, (pid, *descendants(pid)))) for name, pid in self._pids().items()}

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pid) for name, pid in self._pids().items()}

    def _pids(self) -> dict[str, int]:
        return {**self._services(), "Redis": self._redis.pid, "MinIO": self._minio.pid}

    def _environment(self) -> dict[str, str]:
        keys = {"MINIO_ACCESS_KEY": self._minio.access_key, "MINIO_SECRET_KEY": self._minio.secret_key}
        return {"REDIS_URL": self._redis.url, "MINIO_ENDPOINT": self._minio.endpoint, **keys}

    def _start(self) -> Client:
        """Start the services; return a client of the API."""
        raise NotImplementedError

    def _services(self) -> dict[str, int]:
        """Return the process id of each service."""
        raise NotImplementedError

    def _wait(self, count: int, all_sent: threading.Event) -> dict[str, float]:
        """Wait until `count` pictures are done; return the time of each, or nothing if `_done` can return it later."""
        raise NotImplementedError

    def _done(self, image_ids: Sequence[str]) -> dict[str, float]:
        """Return when each was done."""
        raise NotImplementedError


class OurLine(LineContender):
    """Stageline, as `stageline up` starts it."""

    name = "Stageline"

    def __init__(self, folder: Path, workers: Mapping[str, int], environment: Mapping[str, str]) -> None:
        self._workers, self._settings = workers, environment
        super().__init__(folder)

    def _start(self) -> Client:
        self._line = RunningLine(self.folder / "line", {**self._environment(), **self._settings}, self._workers)
        self._stack.callback(self._line.kill)  # in case stopping it, which comes first, has failed
        self._stack.callback(self._line.stop)
        self._line.start()
        return self._line.client

    def _services(self) -> dict[str, int]:
        return self._line.state["pids"]

    def _wait(self, count: int, all_sent: threading.Event) -> dict[str, float]:
        """Poll only the number of unfinished pictures: requests for each picture would slow the line."""
        all_sent.wait()
        moved, last = time.monotonic(), -1
        while (left := int(self._queue.zcard(UNFINISHED))) > 0:
            if left != last:
                moved, last = time.monotonic(), left
            if time.monotonic() - moved > STALL_SECONDS:
                raise RuntimeError(f"{self.name}: {left} of {count} pictures are stuck; see {self._line.log}")
            time.sleep(POLL_SECONDS)
        return {}

    def _done(self, image_ids: Sequence[str]) -> dict[str, float]:
        pipe = self._queue.pipeline(transaction=False)
        for image_id in image_ids:
            pipe.hmget(status_key(image_id), "status", "updated_at")
        answers = dict(zip(image_ids, pipe.execute(), strict=True))
        failed = [image_id for image_id, (status, _) in answers.items() if status != "completed"]
        if failed:
            raise RuntimeError(f"{self.name}: {len(failed)} pictures failed, {failed[0]} first; see {self._line.log}")
        return {image_id: datetime.fromisoformat(at).timestamp() for image_id, (_, at) in answers.items()}


class PlainChain(LineContender):
    """The plain chain of benchmarks/plain_chain, one process per step."""

    name = "plain chain"

    def __init__(self, folder: Path, yolox: Path) -> None:
        self._yolox = yolox
        self._steps: dict[str, subprocess.Popen[bytes]] = {}
        super().__init__(folder)

    @staticmethod
    def lacks() -> list[str]:
        """Return the missing requirements."""
        return [name for name in PLAIN_NEEDS if find_spec(name) is None]

    def _start(self) -> Client:
        port = free_port()
        own = {"YOLOX_PATH": str(self._yolox.absolute()), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
        environment = {**inherited(), **self._environment(), **own}
        self._stack.callback(self._end)
        for step in PLAIN_STEPS:  # the API is first, and creates the bucket
            with self._log(step).open("wb") as log:
                command = [sys.executable, "-m", "benchmarks.plain_chain", step]
                self._steps[step] = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        for step in PLAIN_STEPS:
            self._wait_until_ready(step, b"Listening at" if step == "grab" else b": ready")
        return Client(f"http://127.0.0.1:{port}")

    def _log(self, step: str) -> Path:
        return self.folder / f"{step}.log"

    def _wait_until_ready(self, step: str, sign: bytes) -> None:
        deadline = time.monotonic() + START_SECONDS
        while sign not in (said := self._log(step).read_bytes()):
            if self._steps[step].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the plain chain's {step} did not come up; its log ends:\n{said.decode()[-2000:]}")
            time.sleep(POLL_SECONDS)

    def _end(self) -> None:
        for process in self._steps.values():
            process.terminate()
        for process in self._steps.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _services(self) -> dict[str, int]:
        return {step: process.pid for step, process in self._steps.items()}

    def _wait(self, count: int, all_sent: threading.Event) -> dict[str, float]:  # noqa: ARG002 - it says each id
        done: dict[str, float] = {}
        while len(done) < count:
            popped = self._queue.blpop(["done_queue"], timeout=STALL_SECONDS)
            if popped is None:
                raise RuntimeError(f"the plain chain: {count - len(done)} of {count} pictures are stuck or lost")
            done[popped[1]] = time.time()  # type: ignore[index] # not awaitable here
        return done

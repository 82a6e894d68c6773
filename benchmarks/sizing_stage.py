"""Measures one stage alone on a full queue, with one worker and with several, in pictures a second."""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis
import urllib3

from stageline.broker.keys import DEAD_LETTERS, WORKERS, delayed_key, in_flight_key
from stageline.core.settings import Settings
from stageline.local.embedded import CACHE_OPTIONS
from stageline.local.ports import HOST, free_ports
from stageline.pipeline import line
from stageline.pipeline.first_message import take_in
from stageline.pipeline.message import Message
from stageline.pipeline.stage import Task
from stageline.registry.serving import load_once
from stageline.store import open_store
from stageline.store.base import StoredObject
from tests.support.processes import cpu_seconds
from tests.support.running_line import inherited
from tests.support.servers import MinioServer, RedisServer

READY_SECONDS = STALL_SECONDS = 60.0
POLL_SECONDS = 0.01
WARM_UP = 16


class StageLap(NamedTuple):
    """The figures of a full queue: pictures a second, CPU ms per picture of the workers, and the start-up time."""

    per_second: float
    cpu_ms: float
    ready_seconds: float


class StagesAlone:
    """A Redis, a hot cache and a MinIO with every stage's inputs, and workers of one stage at a time."""

    def __init__(self, folder: Path, models: Path) -> None:
        """Start the servers; workers log below ``folder``."""
        self._folder = folder
        self._stack = ExitStack()
        self._redis, self._minio = RedisServer(folder / "redis"), MinioServer(folder / "minio")
        cache = RedisServer(folder / "cache", CACHE_OPTIONS)
        try:
            for server in (self._redis, self._minio, cache):
                self._stack.callback(server.stop)
                server.start()
        except BaseException:
            self.stop()
            raise
        keys = {"MINIO_ACCESS_KEY": self._minio.access_key, "MINIO_SECRET_KEY": self._minio.secret_key}
        urls = {"REDIS_URL": self._redis.url, "CACHE_URL": cache.url, "MINIO_ENDPOINT": self._minio.endpoint}
        self._environment = {**keys, **urls, "MODELS_DIR": str(models.absolute()), "NUM_WORKERS": "1"}
        self._settings = Settings.model_validate({name.lower(): value for name, value in self._environment.items()})
        self._client: redis.Redis = redis.Redis.from_url(self._redis.url)
        self._messages: dict[str, list[Message]] = {}
        self._sent = 0

    def stop(self) -> None:
        """Stop the servers."""
        self._stack.close()

    def prepare(self, pictures: Sequence[Path]) -> None:
        """Run each stage's function on the pictures here; store the objects, and keep each stage's messages."""
        store = open_store(self._settings)
        store.check()
        works = {stage.name: stage.load(self._settings) for stage in line.LINE}
        load_once([model for work in works.values() for model in work.models], self._settings, "sizing")
        messages: dict[str, list[Message]] = defaultdict(list)
        for path in pictures:
            message, original = take_in(path.read_bytes(), path.name, "", self._settings.max_image_pixels)
            made: dict[str, StoredObject] = {original.key: original}
            for name, work in works.items():
                messages[name].append(message)
                inputs = {what: made[key].data for what, key in work.inputs(message).items()}
                (output,) = work.run([Task(message, inputs)])
                made |= {stored.key: stored for stored in output.objects}
                message = message.successor(name, {}, output.fields)
            store.put_all(list(made.values()))
        self._messages = dict(messages)

    def lap(self, stage: line.Stage, workers: int, rounds: int) -> StageLap:
        """Start so many workers, have them empty a queue of all pictures ``rounds`` times, and stop them.

        Raises:
            RuntimeError: a worker was not ready in time, or not every picture was handed on.
        """
        with self._running(stage, workers) as (pids, ready_seconds):
            self._emptied(stage, self._fresh(stage, WARM_UP * workers))
            todo = self._fresh(stage, rounds * len(self._messages[stage.name]))
            before, started = sum(map(cpu_seconds, pids)), time.monotonic()
            self._emptied(stage, todo)
            seconds, cpu = time.monotonic() - started, sum(map(cpu_seconds, pids)) - before
        return StageLap(len(todo) / seconds, 1000 * cpu / len(todo), ready_seconds)

    def _fresh(self, stage: line.Stage, count: int) -> list[bytes]:
        """Return a number of messages, of the same pictures in turn, each with new ids."""
        known = self._messages[stage.name]
        first, self._sent = self._sent, self._sent + count
        fields = [known[number % len(known)].fields for number in range(count)]
        return [Message.of({**each, "image_id": f"alone-{first + n}"}).raw for n, each in enumerate(fields)]

    def _emptied(self, stage: line.Stage, messages: Sequence[bytes]) -> None:
        """Queue the messages and wait until all were sent on."""
        following = line.after(stage)
        self._client.rpush(stage.queue, *messages)
        deadline = time.monotonic() + STALL_SECONDS + len(messages)
        while self._unfinished(stage):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{stage.name} alone: pictures are stuck; see {self._folder}")
            time.sleep(POLL_SECONDS)
        passed = len(messages) if following is None else int(self._client.llen(following.queue))
        if passed != len(messages) or self._client.llen(DEAD_LETTERS) or self._client.zcard(delayed_key(stage.queue)):
            raise RuntimeError(f"{stage.name} alone: only {passed} of {len(messages)} went on; see {self._folder}")
        self._client.delete(*[other.queue for other in line.LINE])  # the next stage starts with none of these

    def _unfinished(self, stage: line.Stage) -> int:
        """Return how many messages wait or are in flight, read in one step so that none is missed between the two."""
        workers: Any = self._client.zrange(WORKERS, 0, -1)
        pipe = self._client.pipeline(transaction=True)
        for key in (stage.queue, *(in_flight_key(identity.decode()) for identity in workers)):
            pipe.llen(key)
        return sum(pipe.execute())

    @contextmanager
    def _running(self, stage: line.Stage, workers: int) -> Iterator[tuple[list[int], float]]:
        """Start workers of a stage, and wait until they are ready; stop them at the end."""
        ports, started = free_ports(workers), time.monotonic()
        processes = [self._worker(stage, port) for port in ports]
        try:
            _wait_until_ready(stage.name, ports)
            yield [process.pid for process in processes], time.monotonic() - started
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)

    def _worker(self, stage: line.Stage, port: int) -> "subprocess.Popen[bytes]":
        own: Mapping[str, str] = {"HEALTH_PORT": str(port), "WORKER_ID": f"{stage.name}-{port}"}
        command = [sys.executable, "-P", "-m", stage.package]
        with (self._folder / f"{stage.name}.log").open("ab") as log:
            environment = {**inherited(), **self._environment, **own, "STAGELINE_DATA": str(self._folder / "data")}
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _wait_until_ready(name: str, ports: Sequence[int]) -> None:
    http, waiting = urllib3.PoolManager(timeout=5, retries=False), list(ports)
    deadline = time.monotonic() + READY_SECONDS
    while waiting:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} alone: not ready within {READY_SECONDS:g} s")
        try:
            if http.request("GET", f"http://{HOST}:{waiting[0]}/readyz").status == 200:
                waiting.pop(0)
        except urllib3.exceptions.HTTPError:
            time.sleep(POLL_SECONDS)

"""A whole Stageline as its containers run it: a process per service, on servers of its own.

Nothing here knows what is inside: a service is a command and its settings. CHAOS_PYTHON names the interpreter whose
installed package is run, for example one of an older version; without it, it is this one's.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import minio
import psycopg2
import redis
import urllib3

from benchmarks.processes import cpu_seconds, descendants
from benchmarks.running_line import inherited
from benchmarks.server_process import free_port
from benchmarks.servers import MinioServer, PostgresServer, RedisServer
from stageline.client import Client
from tests.chaos.door import Door
from tests.conftest import missing

STAGES = ("resize", "grayscale", "detect", "classify", "tag")
SERVICES = (*STAGES, "catalogue", "grab")
LEASE = 4.0  # seconds; a busy machine's living workers must come to beat in it
READY_SECONDS = 120.0
BUCKET = "images"
Found = TypeVar("Found")


class Service:
    """One service's process, and those below it: killed, frozen and started again as one."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str], port: int) -> None:
        """Take its name, as `resize`; where its logs go; its settings; and where it says whether it is ready."""
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether its first process lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that its processes have taken since it was started."""
        return cpu_seconds(self._process.pid)

    @property
    def pids(self) -> set[int]:
        """Its processes, by their ids: the first, and those below it; none where it does not run."""
        return {self._process.pid, *descendants(self._process.pid)} if self.running else set()

    def start(self, **more: str) -> None:
        """Start it, if it does not run, with further settings; return before it is ready."""
        if self.running:
            return
        python = os.environ.get("CHAOS_PYTHON", sys.executable)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [python, "-P", "-m", f"{self.name}_service"],
                env={**self._environment, **more}, cwd=self._folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def ready(self) -> bool:
        """Whether it says that it can work."""
        try:
            answer = urllib3.request("GET", f"http://127.0.0.1:{self.port}/readyz", timeout=2, retries=False)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes."""
        if self.running:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End all of its processes at once (SIGKILL), as a crash does."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> int:
        """Ask it to end (SIGTERM); return its exit status."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have it stand still for as long as the block runs (SIGSTOP, SIGCONT)."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


class Deployment:
    """Servers and services; ``start`` them, or those that a test wants, and ``end`` all."""

    def __init__(self, folder: Path, models: Path, **settings: str) -> None:
        """Take a folder for everything, that of the installed models, and settings of all services.

        A setting REDIS_URL, MINIO_ENDPOINT or DATABASE_URL, such as that of a proxy, is what the services are told;
        the clients of this class go to the servers themselves.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._ports: set[int] = set()
        self.redis = RedisServer(folder / "redis", ["--appendfsync", "always"], self._port())
        self.cache = RedisServer(folder / "cache", ["--appendonly", "no", "--maxmemory", "64mb"], self._port())
        self.minio = MinioServer(folder / "minio", self._port())
        self.postgres = PostgresServer(folder / "postgres", port=self._port())
        self._settings = {
            "REDIS_URL": self.redis.url, "CACHE_URL": self.cache.url, "DATABASE_URL": self.postgres.url_of("chaos"),
            "MINIO_ENDPOINT": self.minio.endpoint, "MINIO_ACCESS_KEY": self.minio.access_key,
            "MINIO_SECRET_KEY": self.minio.secret_key, "S3_BUCKET": BUCKET, "MODELS_DIR": str(models),
            "STAGELINE_DATA": str(folder / "data"), "HOST": "127.0.0.1", "NUM_WORKERS": "1",
            "LEASE_SECONDS": f"{LEASE:g}", "RETRY_BASE_SECONDS": "0.2", "RETRY_CAP_SECONDS": "2",
            "OMP_NUM_THREADS": "1", **settings,
        }  # fmt: skip
        self.services: dict[str, Service] = {}
        for name in SERVICES:
            self.add(name)

    @property
    def servers(self) -> Sequence[RedisServer | MinioServer | PostgresServer]:
        """Redis, the cache, MinIO and PostgreSQL."""
        return (self.redis, self.cache, self.minio, self.postgres)

    @property
    def door(self) -> Door:
        """A client of the HTTP API."""
        return Door(f"http://127.0.0.1:{self.services['grab'].port}")

    @property
    def client(self) -> Client:
        """The client that users have."""
        return Client(self.door.url)

    @property
    def queue(self) -> redis.Redis:
        """A connection to Redis, for looking at what it holds."""
        return redis.Redis(port=self.redis.port, decode_responses=True, socket_timeout=30)

    @property
    def bucket(self) -> minio.Minio:
        """A client of MinIO, for looking at what is in BUCKET."""
        return minio.Minio(self.minio.endpoint, self.minio.access_key, self.minio.secret_key, secure=False)

    def rows(self, query: str, *values: object) -> list[tuple]:
        """Ask the catalogue's database."""
        with psycopg2.connect(self.postgres.url_of("chaos")) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()

    def add(self, name: str, label: str = "", **settings: str) -> Service:
        """Add a service, or a further worker of a stage with a label of its own, with settings of its own."""
        label = label or name
        port = self._port()
        own = {"PORT": str(port), "HEALTH_PORT": str(port), "WORKER_ID": label, **settings}
        environment = {key: value for key, value in inherited().items() if key != "PYTHONPATH"}
        self.services[label] = Service(name, self.folder, {**environment, **self._settings, **own}, port)
        return self.services[label]

    def command(self, *words: str) -> str:
        """Run the command line, as ``reconcile --queue``, with the services' settings; return what it prints.

        Raises:
            AssertionError: it did not end with exit status 0.
        """
        python = os.environ.get("CHAOS_PYTHON", sys.executable)
        environment = {key: value for key, value in inherited().items() if key != "PYTHONPATH"}
        done = subprocess.run(
            [python, "-P", "-m", "stageline", *words],
            env={**environment, **self._settings}, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"`stageline {' '.join(words)}` failed: {done.stderr}"
        return done.stdout

    def stored(self, folder: str = "") -> set[str]:
        """List what is in the bucket, or in a folder of it, by the objects' keys."""
        return {str(each.object_name) for each in self.bucket.list_objects(BUCKET, prefix=folder, recursive=True)}

    def start(self, *labels: str) -> None:
        """Start the servers, and these services, or all; return when they are ready.

        A server that this machine has not skips the test; see ``missing``.
        """
        self.start_servers()
        chosen = [self.services[label] for label in labels or self.services]
        for service in chosen:
            service.start()
        until(lambda: all(service.ready() for service in chosen), READY_SECONDS)

    def start_servers(self) -> None:
        """Start the servers only, with an empty database."""
        for server in self.servers:
            try:
                server.command()
            except FileNotFoundError as error:
                missing(str(error))
            server.start()
        if not self._has_database():
            self.postgres.create_database("chaos")

    def _has_database(self) -> bool:
        """Whether the catalogue's database is there."""
        with psycopg2.connect(self.postgres.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'chaos'")
            return cursor.fetchone() is not None

    def _port(self) -> int:
        """Find a free port that is none of ours: those of what is yet to be started are free as well."""
        while (port := free_port()) in self._ports:
            pass
        self._ports.add(port)
        return port

    def end(self) -> None:
        """Kill everything."""
        for service in self.services.values():
            service.kill()
        for server in self.servers:
            server.kill()


def until(look: Callable[[], Found | None], seconds: float = 120.0, pause: float = 0.05) -> Found:
    """Wait for what must come, and return it.

    Raises:
        AssertionError: it did not come in that many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(pause)

"""A whole Stageline as its containers run it: a process per service, on servers of its own.

Nothing here knows what is inside: a service is a command and its settings.
"""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import minio
import psycopg2
import redis

from stageline.client import Client
from tests.chaos.api_client import ApiClient
from tests.chaos.service import PYTHON, Service, stages
from tests.support.places import missing
from tests.support.running_line import inherited
from tests.support.server_process import free_port
from tests.support.servers import MinioServer, PostgresServer, RedisServer

STAGES = stages()
SERVICES = (*STAGES, "catalogue", "grab")
LEASE = 4.0  # seconds; workers on a busy machine must get to send a heartbeat within it
READY_SECONDS = 120.0
BUCKET = "images"
Found = TypeVar("Found")


class Deployment:
    """Servers and services; ``start`` them, or those that a test wants, and ``end`` all."""

    def __init__(self, folder: Path, models: Path, **settings: str) -> None:
        """Take a folder for everything, that of the installed models, and settings of all services.

        A setting REDIS_URL, MINIO_ENDPOINT or DATABASE_URL, such as that of a proxy, is what the services get;
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
    def api(self) -> ApiClient:
        """A client of the HTTP API."""
        return ApiClient(f"http://127.0.0.1:{self.services['grab'].port}")

    @property
    def client(self) -> Client:
        """The client that users have."""
        return Client(self.api.url)

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
        environment = {key: value for key, value in inherited().items() if key != "PYTHONPATH"}
        done = subprocess.run(
            [PYTHON, "-P", "-m", "stageline", *words],
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

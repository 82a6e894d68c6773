"""A real Redis, a real MinIO and a real PostgreSQL on 127.0.0.1, for benchmarks and tests.

>>> with redis_server(folder / "redis") as redis, minio_server(folder / "minio") as minio:
...     print(redis.url, minio.endpoint)

The classes keep their port and folder, so a test may `kill()` a server (SIGKILL) and `start()` it again.
"""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from stageline.local.ports import HOST
from tests.support.processes import descendants, lives
from tests.support.server_process import START_SECONDS, Server, find_minio, find_postgres, find_redis

AnyServer = TypeVar("AnyServer", bound=Server)
POSTGRES_USER = "postgres"  # which its package made
GONE_SECONDS = 60.0


class RedisServer(Server):
    """Redis as a queue wants it: append-only file, no eviction. `extra_args` come last and win."""

    name = "redis"

    def __init__(
        self, folder: Path, extra_args: Sequence[str] = (), port: int | None = None, program: str | None = None
    ) -> None:
        super().__init__(folder, port)
        self.extra_args = tuple(extra_args)
        self.program = program
        self.url = f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        """See Server."""
        durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--save", ""]
        place = ["--bind", HOST, "--port", str(self.port), "--dir", str(self.folder.absolute())]
        return [self.program or find_redis(), *place, *durable, *self.extra_args]

    def answers(self) -> bool:
        """See Server."""
        with socket.create_connection((HOST, self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))  # while it loads: -LOADING


class MinioServer(Server):
    """MinIO on one folder, without its web console."""

    name = "minio"

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        self.endpoint = f"{HOST}:{self.port}"
        self.access_key = "stageline"
        self.secret_key = "stageline-secret"

    def command(self) -> list[str]:
        """See Server."""
        certificates = ["--certs-dir", str(self.folder.absolute() / "certs")]
        data = str(self.folder.absolute() / "data")
        return [find_minio(), "server", data, "--address", self.endpoint, "--quiet", *certificates]

    def environment(self) -> dict[str, str]:
        """See Server."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
        keys = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key}
        return inherited | keys | {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}

    def answers(self) -> bool:
        """See Server."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/minio/health/cluster")
            return connection.getresponse().status == 200
        finally:
            connection.close()


class PostgresServer(Server):
    """PostgreSQL with an empty database; anybody on this machine is let in. `extra_args` come last and win.

    It refuses to run as root: then it runs as the user that its package made, with root's right to enter folders.
    """

    name = "postgres"

    def __init__(self, folder: Path, extra_args: Sequence[str] = (), port: int | None = None) -> None:
        super().__init__(folder, port)
        self.extra_args = tuple(extra_args)
        self.data = folder.absolute() / "postgres-data"

    @property
    def url(self) -> str:
        """The database that is there from the beginning."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """One of its databases."""
        return f"postgresql://postgres@{HOST}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database, in place of one of that name, and return its URL."""
        import psycopg2  # type: ignore[import-untyped]

        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
                cursor.execute(f'CREATE DATABASE "{name}"')
        finally:
            connection.close()
        return self.url_of(name)

    def command(self) -> list[str]:
        """See Server."""
        quick = {"fsync": "off", "full_page_writes": "off"}  # what a test has need not outlast a power cut
        place = {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": ""}
        chosen = [part for name, value in {**place, **quick}.items() for part in ("-c", f"{name}={value}")]
        return [*_as_nobodys_root(), find_postgres("postgres"), "-D", str(self.data), *chosen, *self.extra_args]

    def environment(self) -> dict[str, str]:
        """See Server."""
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C.UTF-8"}

    def start(self, timeout: float = START_SECONDS) -> None:
        """See Server; the first start makes the database."""
        if not (self.data / "PG_VERSION").exists():
            self.data.mkdir(parents=True, exist_ok=True)
            if os.getuid() == 0:
                shutil.chown(self.data, POSTGRES_USER, POSTGRES_USER)
            made = ["-D", str(self.data), "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]
            subprocess.run(
                [*_as_nobodys_root(), find_postgres("initdb"), *made],
                env=self.environment(), check=True, capture_output=True, cwd="/",
            )  # fmt: skip
        super().start(timeout)

    def stop(self, timeout: float = 15.0) -> None:
        """End it without waiting for its clients."""
        if self.process is not None and self.running:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it and all of its processes at once (SIGKILL); what was committed is there again after the next start."""
        if self.process is None or not self.running:
            return
        self.process.send_signal(signal.SIGSTOP)  # it starts no more of them
        with contextlib.suppress(ChildProcessError):  # it ended by itself
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        below = descendants(self.process.pid)
        for pid in [self.process.pid, *below]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + GONE_SECONDS
        while any(map(lives, below)) and time.monotonic() < deadline:  # its port and its memory are theirs until then
            time.sleep(0.01)

    def answers(self) -> bool:
        """See Server."""
        import psycopg2

        try:
            psycopg2.connect(self.url, connect_timeout=2).close()
        except psycopg2.Error:
            return False
        return True


def _as_nobodys_root() -> list[str]:
    """What makes root a user that PostgreSQL accepts, which may still enter root's folders."""
    if os.getuid() != 0:
        return []
    capable = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", f"--reuid={POSTGRES_USER}", f"--regid={POSTGRES_USER}", "--clear-groups", *capable]


def redis_server(folder: Path, *extra_args: str, port: int | None = None) -> AbstractContextManager[RedisServer]:
    """A running Redis that keeps its data in `folder`; stopped at the end."""
    return _running(RedisServer(folder, extra_args, port))


def minio_server(folder: Path, port: int | None = None) -> AbstractContextManager[MinioServer]:
    """A running MinIO that keeps its data in `folder`; stopped at the end."""
    return _running(MinioServer(folder, port))


def postgres_server(folder: Path, *extra_args: str, port: int | None = None) -> AbstractContextManager[PostgresServer]:
    """A running PostgreSQL that keeps its data in `folder`; stopped at the end."""
    return _running(PostgresServer(folder, extra_args, port))


@contextlib.contextmanager
def _running(server: AnyServer) -> Iterator[AnyServer]:
    try:
        server.start()
        yield server
    finally:
        server.stop()

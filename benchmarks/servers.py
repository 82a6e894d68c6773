"""A real Redis and a real MinIO on 127.0.0.1, for benchmarks and tests.

>>> with redis_server(folder / "redis") as redis, minio_server(folder / "minio") as minio:
...     print(redis.url, minio.endpoint)

Both classes keep their port and folder, so a test may `kill()` a server (SIGKILL) and `start()` it again.
"""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from stageline.ports import HOST, free_port, is_free


def go_bin() -> str | None:
    """The folder where `go install` puts programs, or None without Go."""
    go = shutil.which("go")
    if go is None:
        return None
    answer = subprocess.run([go, "env", "GOBIN", "GOPATH"], capture_output=True, text=True, check=True).stdout
    gobin, gopath = answer.splitlines()
    return gobin or str(Path(gopath.split(os.pathsep)[0]) / "bin")


def find_redis() -> str:
    """The Redis (or Valkey) server of this machine."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise FileNotFoundError(
            "No redis-server or valkey-server on PATH: install one, for example with `apt-get install redis-server`."
        )
    return found


def find_minio() -> str:
    """The MinIO server of this machine: on PATH, or where `go install` left it."""
    found = shutil.which("minio")
    if found is None and (folder := go_bin()):
        found = shutil.which("minio", path=folder)
    if found is None:
        raise FileNotFoundError(
            "No minio on PATH or in Go's bin folder: install it with `go install github.com/minio/minio@latest`."
        )
    return found


class _Server:
    """A server process with a fixed port and a folder of its own. `process` is None until the first start."""

    name = "server"

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.log = folder / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """The environment the server runs in."""
        return dict(os.environ)

    def answers(self) -> bool:
        """Whether the server is ready for requests."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self.process.pid

    def start(self, timeout: float = 30.0) -> None:
        """Start the server, again where it was stopped or killed, and wait until it answers."""
        if self.running:
            return
        if not is_free(self.port):
            raise RuntimeError(f"{self.name} cannot start: another program listens on {HOST}:{self.port}.")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.answers() and self.running:
                    return
            time.sleep(0.02)
        self.kill()
        tail = self.log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} did not come up on {HOST}:{self.port} within {timeout:g} s. Its log:\n{tail}")

    def stop(self, timeout: float = 15.0) -> None:
        """Ask the server to end (SIGTERM), wait, and kill it where it does not."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would; `start` brings it back on the same port and folder."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class RedisServer(_Server):
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
        """See _Server."""
        durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--save", ""]
        place = ["--bind", HOST, "--port", str(self.port), "--dir", str(self.folder.absolute())]
        return [self.program or find_redis(), *place, *durable, *self.extra_args]

    def answers(self) -> bool:
        """See _Server."""
        with socket.create_connection((HOST, self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))  # while it loads: -LOADING


class MinioServer(_Server):
    """MinIO on one folder, without its web console."""

    name = "minio"

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        self.endpoint = f"{HOST}:{self.port}"
        self.access_key = "stageline"
        self.secret_key = "stageline-secret"

    def command(self) -> list[str]:
        """See _Server."""
        certificates = ["--certs-dir", str(self.folder.absolute() / "certs")]
        data = str(self.folder.absolute() / "data")
        return [find_minio(), "server", data, "--address", self.endpoint, "--quiet", *certificates]

    def environment(self) -> dict[str, str]:
        """See _Server."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
        keys = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key}
        return inherited | keys | {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}

    def answers(self) -> bool:
        """See _Server."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/minio/health/cluster")
            return connection.getresponse().status == 200
        finally:
            connection.close()


@contextlib.contextmanager
def redis_server(folder: Path, *extra_args: str, port: int | None = None) -> Iterator[RedisServer]:
    """A running Redis that keeps its data in `folder`; stopped at the end."""
    server = RedisServer(folder, extra_args, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def minio_server(folder: Path, port: int | None = None) -> Iterator[MinioServer]:
    """A running MinIO that keeps its data in `folder`; stopped at the end."""
    server = MinioServer(folder, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()

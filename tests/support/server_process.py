"""A server as a process of ours, on a port and in a folder of its own; and where this machine keeps its programs."""

import contextlib
import http.client
import os
import shutil
import subprocess
import time
from pathlib import Path

from stageline.local.ports import HOST, free_port, is_free

START_SECONDS = 120.0  # of a machine that is busy otherwise


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


def find_postgres(program: str) -> str:
    """One of PostgreSQL's programs: on PATH, or where Debian keeps them, of the newest version."""
    found = shutil.which(program)
    if found is None:
        kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: float(path.parts[-3]))
        found = str(kept[-1]) if kept else None
    if found is None:
        raise FileNotFoundError(
            f"No {program} on PATH or in /usr/lib/postgresql: install PostgreSQL, for example with "
            "`apt-get install postgresql`."
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


class Server:
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

    def start(self, timeout: float = START_SECONDS) -> None:
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

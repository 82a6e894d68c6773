"""A line as its own processes, for benchmarks and tests: `stageline up` with a given environment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from stageline.client import Client
from stageline.local.ports import free_port

READY_SECONDS = 180.0  # `stageline up` itself gives up earlier
STOP_SECONDS = 120.0


class RunningLine:
    """`stageline up` on a free port, its data and its log below `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], workers: Mapping[str, int] | None = None) -> None:
        """Take what to set in the environment; what this process has set of Stageline's is left out.

        Where neither says how many workers, there is one of each stage, whatever this machine's cores.
        """
        self.folder = folder
        self.port = free_port()
        self.log = folder / "line.log"
        self._workers = workers or ({} if "NUM_WORKERS" in environment else {"detect": 1})
        own = {"STAGELINE_DATA": str(folder / "data"), "PORT": str(self.port), "HOST": "127.0.0.1"}
        self._environment = {**inherited(), **own, **environment}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> Client:
        """A client of its API."""
        return Client(f"http://127.0.0.1:{self.port}")

    @property
    def state(self) -> dict[str, dict[str, int]]:
        """What `stageline up` wrote down: redis_url, health ports, pids as first started."""
        found: dict[str, dict[str, int]] = json.loads((self.folder / "data" / "line.json").read_text())
        return found

    def start(self) -> None:
        """Start, and wait until the API and every stage are ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = [part for name, count in self._workers.items() for part in ("--workers", f"{name}={count}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stageline", "up", *options],
                env=self._environment, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        assert self.process.stdout is not None
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            said = self.process.stdout.readline()
            if b"the line is up" in said:
                return
            if not said:
                break
        self.kill()
        raise RuntimeError(f"the line did not come up; its log ends:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> int:
        """Ask it to stop (SIGINT, as Ctrl-C does); return its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL the supervisor and every process below it, at once."""
        from tests.support.processes import descendants

        if self.process is None or self.process.poll() is not None:
            return
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE", "TMPDIR", "LD_LIBRARY_PATH")
MEASURED = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")  # `make coverage` follows processes by these


def inherited() -> dict[str, str]:
    """Return what of this process's environment a program is given that is begun here."""
    return {name: value for name, value in os.environ.items() if name in KEPT + MEASURED}

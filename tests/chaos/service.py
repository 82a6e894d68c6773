"""One service as a process: killed, frozen and started again as one with those below it.

`PYTHON` is the interpreter whose installed package is run: the one that CHAOS_PYTHON names, for example with an older
version, or this one.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import urllib3

from tests.support.processes import cpu_seconds, descendants

PYTHON = os.environ.get("CHAOS_PYTHON", sys.executable)


def stages() -> tuple[str, ...]:
    """The stages of the version that is run: its services that are neither the API nor the catalogue."""
    beside = "pathlib.Path(stageline.__file__).parents[1].glob('*_service/__main__.py')"
    asked = f"import pathlib, stageline; print(*(path.parent.name for path in {beside}))"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([PYTHON, "-P", "-c", asked], env=environment, capture_output=True, text=True, check=True)
    names = (name.removesuffix("_service") for name in sorted(done.stdout.split()))
    return tuple(name for name in names if name not in ("grab", "catalogue"))


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
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [PYTHON, "-P", "-m", f"{self.name}_service"],
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

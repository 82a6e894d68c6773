"""The whole line on this machine: an embedded Redis unless REDIS_URL names one, the door, and every stage."""

import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import urllib3

from stageline import embedded, line
from stageline.errors import SettingsError, StagelineError
from stageline.ports import free_port, is_free
from stageline.settings import Settings
from stageline.supervisor import Supervisor

STATE = "line.json"
READY_SECONDS = 60.0
POLL_SECONDS = 0.1


class Line:
    """The processes of a line; use ``start``, then ``tend`` until told to stop, then ``stop``."""

    def __init__(self, settings: Settings, workers: Mapping[str, int], log: IO[bytes] | None = None) -> None:
        self._settings = settings
        self._workers = workers
        self._servers = Supervisor(log)
        self._services = Supervisor(log)
        self._health: dict[str, int] = {}
        self._data = settings.stageline_data
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """Where the door is."""
        return f"http://localhost:{self._settings.port}"

    def start(self) -> None:
        """Start everything; return before it is ready.

        Raises:
            SettingsError: a port is taken, another line runs on the same data, or there is no Redis to start.
        """
        if not is_free(self._settings.port, self._settings.host):
            raise SettingsError(f"PORT={self._settings.port} is taken: stop what listens there, or set PORT to another")
        self._data.mkdir(parents=True, exist_ok=True)
        self._lock_data()
        environment = {"PYTHONUNBUFFERED": "1", "STAGELINE_DATA": str(self._data.absolute())}
        environment["REDIS_URL"] = self._redis_url()
        for stage in line.LINE:
            count = self._workers.get(stage.name, self._settings.num_workers)
            for index in range(count):
                self._add_stage(stage, f"{stage.name}-{index}" if count > 1 else stage.name, environment)
        door = [sys.executable, "-m", line.DOOR_PACKAGE]
        self._services.add("grab", door, {**environment, "NUM_WORKERS": "1"})
        self._write_state(environment["REDIS_URL"])

    def wait_until_ready(self, stopping: threading.Event) -> None:
        """Wait until the door and every stage say that they are ready.

        Raises:
            StagelineError: they do not within a minute.
        """
        deadline = time.monotonic() + READY_SECONDS
        waiting = {**self._health, "grab": self._settings.port}
        http = urllib3.PoolManager(timeout=1, retries=False)
        while waiting and not stopping.wait(POLL_SECONDS):
            self.tend()
            waiting = {name: port for name, port in waiting.items() if not _is_ready(http, port)}
            if time.monotonic() > deadline:
                raise StagelineError(f"not ready after {READY_SECONDS:g} s: {', '.join(waiting)}; the log says why")

    def tend(self) -> None:
        """Start again what has died."""
        self._servers.tend()
        self._services.tend()

    def stop(self) -> None:
        """Stop the services, which hand on or give back what they hold, and then the servers."""
        self._services.stop(self._settings.shutdown_seconds + 5)
        self._servers.stop(10)
        (self._data / STATE).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    def _add_stage(self, stage: line.Stage, name: str, environment: Mapping[str, str]) -> None:
        self._health[name] = free_port()
        own = {"HEALTH_PORT": str(self._health[name]), "WORKER_ID": name, "NUM_WORKERS": "1"}
        self._services.add(name, [sys.executable, "-m", stage.package], {**environment, **own})

    def _redis_url(self) -> str:
        if "REDIS_URL" in os.environ:
            return self._settings.redis_url
        folder = self._data / "redis"
        folder.mkdir(exist_ok=True)
        port = free_port()
        self._servers.add("redis", embedded.command(folder, port), {}, keep_open=[self._lock] if self._lock else [])
        return f"redis://127.0.0.1:{port}/0"

    def _lock_data(self) -> None:
        """Hold the data folder for this line; the embedded server inherits the lock, so it counts as well."""
        self._lock = (self._data / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(
                f"STAGELINE_DATA={self._data}: another line runs on this folder; stop it, or name another"
            ) from None

    def _write_state(self, redis_url: str) -> None:
        pids = {**self._servers.pids(), **self._services.pids()}
        state = {"redis_url": redis_url, "url": self.url, "pid": os.getpid(), "health": self._health, "pids": pids}
        temporary = self._data / f"{STATE}.new"
        temporary.write_text(json.dumps(state, indent=2) + "\n")
        temporary.replace(self._data / STATE)


def running_redis_url(data: Path) -> str | None:
    """Return the REDIS_URL of the line that runs on this data folder, if one does."""
    try:
        return str(json.loads((data / STATE).read_text())["redis_url"])
    except (OSError, ValueError, KeyError):
        return None


def _is_ready(http: urllib3.PoolManager, port: int) -> bool:
    try:
        return bool(http.request("GET", f"http://127.0.0.1:{port}/readyz").status == 200)  # noqa: PLR2004
    except urllib3.exceptions.HTTPError:
        return False

"""The whole line on this machine: the API, all stages, the catalogue, and embedded servers if none are set."""

import errno
import fcntl
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import urllib3

from stageline.core import logs
from stageline.core.errors import SettingsError, StagelineError
from stageline.core.retrying import LINE_STARTS, READY_SECONDS
from stageline.core.settings import Settings
from stageline.core.supervisor import Supervisor
from stageline.local import embedded
from stageline.local.ports import free_ports, try_port
from stageline.pipeline import line

STATE = "line.json"
EVERYWHERE = ("0.0.0.0", "")  # noqa: S104 - compared with, not listened on
OFF = "off"  # CACHE_URL's value for no cache
COSTLIEST, MAX_OF_COSTLIEST = "detect", 4  # the stage that gets a worker per core, up to this many


def default_workers(settings: Settings) -> dict[str, int]:
    """Return the number of workers of each stage: NUM_WORKERS if set; else one, of the costliest stage one per core."""
    counts = {stage.name: settings.num_workers for stage in line.LINE}
    if COSTLIEST in counts and "num_workers" not in settings.model_fields_set:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        counts[COSTLIEST] = min(cores, MAX_OF_COSTLIEST)
    return counts


class Line:
    """The processes of a line: call ``start``, then ``tend`` until it should stop, then ``stop``."""

    def __init__(self, settings: Settings, workers: Mapping[str, int], log: IO[bytes] | None = None) -> None:
        self._settings = settings
        self._workers = {**default_workers(settings), **workers}
        self._servers = Supervisor(log)
        self._services = Supervisor(log)
        self._health: dict[str, int] = {}
        self._data = settings.stageline_data
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """The address of the API."""
        local = self._settings.host in (*EVERYWHERE, "127.0.0.1", "localhost")
        return f"http://{'localhost' if local else self._settings.host}:{self._settings.port}"

    def start(self) -> None:
        """Start all processes; return before they are ready.

        Raises:
            SettingsError: a port is taken, another line uses the same data, or there is no Redis to start.
            StagelineError: this machine has no free ports, or refuses more processes.
        """
        _check_address(self._settings.host, self._settings.port)
        self._lock_data()
        try:
            self._start()
        except OSError as error:
            raise StagelineError(f"the line cannot be started on {self._data}: {error}") from error

    def _start(self) -> None:
        others = ("redis", "cache", "catalogue")
        ports = iter(free_ports(len(others) + sum(self._workers.values()), but=[self._settings.port]))
        environment = {"PYTHONUNBUFFERED": "1", "STAGELINE_DATA": str(self._data.absolute())}
        environment["REDIS_URL"] = self._redis_url(ports)
        environment["CACHE_URL"] = self._cache_url(ports)
        for stage in line.LINE:
            count = self._workers[stage.name]
            for index in range(count):
                name = f"{stage.name}-{index}" if count > 1 else stage.name
                self._add_service(name, stage.package, next(ports), environment)
        self._add_service("catalogue", line.CATALOGUE_PACKAGE, next(ports), environment)
        self._services.add("grab", _module(line.API_PACKAGE), {**environment, "NUM_WORKERS": "1"})
        self._write_state({"redis_url": environment["REDIS_URL"], "cache_url": environment["CACHE_URL"]})

    def wait_until_ready(self, stopping: threading.Event) -> None:
        """Wait until the API, every stage and the catalogue are ready.

        Raises:
            StagelineError: some are not ready within READY_SECONDS.
        """
        host = "127.0.0.1" if self._settings.host in EVERYWHERE else self._settings.host
        waiting = {name: f"127.0.0.1:{port}" for name, port in self._health.items()}
        waiting["grab"] = f"{host}:{self._settings.port}"
        http = urllib3.PoolManager(timeout=1, retries=False)

        def look() -> None:
            self.tend()
            for name in [name for name, address in waiting.items() if _is_ready(http, address)]:
                del waiting[name]
            if waiting:
                raise StagelineError(f"not ready after {READY_SECONDS:g} s: {', '.join(waiting)}; the log says why")

        try:
            LINE_STARTS.call(look, stopping)
        except StagelineError:
            if not stopping.is_set():
                raise

    def tend(self) -> None:
        """Restart processes that have died."""
        self._servers.tend()
        self._services.tend()

    def stop(self) -> None:
        """Stop the services, which finish or return their messages, and then the servers."""
        self._services.stop(self._settings.shutdown_seconds + 5)
        self._servers.stop(10)
        if self._lock is not None:  # else another line uses the folder
            (self._data / STATE).unlink(missing_ok=True)
            self._lock.close()

    def _add_service(self, name: str, package: str, port: int, environment: Mapping[str, str]) -> None:
        self._health[name] = port
        own = {"HEALTH_PORT": str(self._health[name]), "WORKER_ID": name, "NUM_WORKERS": "1"}
        self._services.add(name, _module(package), {**environment, **own})

    def _redis_url(self, ports: Iterator[int]) -> str:
        if "redis_url" in self._settings.model_fields_set:
            return self._settings.redis_url
        folder = self._data / "redis"
        folder.mkdir(exist_ok=True)
        port = next(ports)
        self._servers.add("redis", embedded.command(folder, port), {}, keep_open=[self._lock] if self._lock else [])
        return f"redis://127.0.0.1:{port}/0"

    def _cache_url(self, ports: Iterator[int]) -> str:
        """Return the URL of the hot cache, or ``off``.

        There is none in front of a folder: the system already keeps its files in memory, and reading those costs a
        fraction of a request to Redis (docs/decisions/0009).
        """
        if "cache_url" in self._settings.model_fields_set:
            return self._settings.cache_url or OFF
        if not self._settings.minio_endpoint:
            return OFF
        folder, port = self._data / "cache", next(ports)
        try:
            command = embedded.cache_command(folder, port)
        except SettingsError as error:  # everything works without one
            logs.get().warning("no cache", reason=str(error))
            return OFF
        folder.mkdir(exist_ok=True)
        self._servers.add("cache", command, {})
        return f"redis://127.0.0.1:{port}/0"

    def _lock_data(self) -> None:
        """Lock the data folder; the embedded server inherits the lock, so a running server keeps it."""
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            lock = (self._data / "lock").open("w")
        except OSError as error:
            raise SettingsError(f"STAGELINE_DATA={self._data}: this folder cannot be written: {error}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise SettingsError(
                f"STAGELINE_DATA={self._data}: another line runs on this folder; stop it, or name another"
            ) from None
        self._lock = lock

    def _write_state(self, urls: Mapping[str, str]) -> None:
        pids = {**self._servers.pids(), **self._services.pids()}
        state = {**urls, "url": self.url, "pid": os.getpid(), "health": self._health, "pids": pids}
        temporary = self._data / f"{STATE}.new"
        temporary.write_text(json.dumps(state, indent=2) + "\n")
        temporary.replace(self._data / STATE)


def running_redis_url(data: Path) -> str | None:
    """Return the REDIS_URL of the line that uses this data folder, if one is running."""
    try:
        return str(json.loads((data / STATE).read_text())["redis_url"])
    except (OSError, ValueError, KeyError):
        return None


def _module(package: str) -> list[str]:
    """Return the command line of a service; -P: the current folder is the user's, and must not be imported from."""
    return [sys.executable, "-P", "-m", package]


def _check_address(host: str, port: int) -> None:
    try:
        try_port(port, host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"PORT={port} is taken: stop what listens there, or set PORT to another") from None
        if error.errno == errno.EACCES:
            raise SettingsError(f"PORT={port} may not be listened on by this user: set PORT to one from 1024") from None
        raise SettingsError(
            f"HOST={host}: {error}; HOST takes a name or an IPv4 address of this machine, or 0.0.0.0 for all of them"
        ) from None


def _is_ready(http: urllib3.PoolManager, address: str) -> bool:
    try:
        return bool(http.request("GET", f"http://{address}/readyz").status == 200)  # noqa: PLR2004
    except urllib3.exceptions.HTTPError:
        return False

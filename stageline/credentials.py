"""Credentials in files that change while a process runs, as those of a Kubernetes Secret do.

A process that finds them changed winds up as on SIGTERM and starts anew in its own place. So a Secret that is made,
mended or changed later is taken up by itself: no restart is counted against the container, and none backs off.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from stageline import logs
from stageline.settings import SECRETS_DIR, secrets_named

LOOK_SECONDS = 5.0


class CredentialWatch(threading.Thread):
    """Looks at the files of SECRETS_DIR every few seconds; ``stop`` is called once, when they have changed."""

    def __init__(self, folder: Path, seen: Mapping[str, bytes], stop: Callable[[], None]) -> None:
        super().__init__(name="credentials", daemon=True)
        self.changed = False
        self._folder, self._seen, self._stop_process = folder, seen, stop
        self._ended = threading.Event()

    def run(self) -> None:
        """Look until they have changed."""
        while not self._ended.wait(LOOK_SECONDS):
            now = read(self._folder)
            if not now or now == self._seen:  # where the whole Secret is gone, what was read from it still serves
                continue
            names = sorted(name for name in {*now, *self._seen} if now.get(name) != self._seen.get(name))
            logs.get().info("credentials changed", files=names, folder=str(self._folder), then="starting anew")
            self.changed = True
            self._stop_process()
            return

    def end(self) -> None:
        """Look no more."""
        self._ended.set()


def watch(stop: Callable[[], None]) -> CredentialWatch | None:
    """Begin to watch where SECRETS_DIR is set; say so where nothing is there yet.

    Args:
        stop: winds the process up, as SIGTERM does; called from a thread of its own.
    """
    if _FOLDER is None:
        return None
    if not _AT_START:
        reason = f"no file in {SECRETS_DIR}={_FOLDER}: the Secret is missing; make it, and this goes on by itself"
        logs.get().warning("no credentials", reason=reason)
    watching = CredentialWatch(_FOLDER, _AT_START, stop)
    watching.start()
    return watching


def read(folder: Path) -> Mapping[str, bytes]:
    """The files of a folder; Kubernetes's own links (their names begin with dots) are left out."""
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return {path.name: path.read_bytes() for path in paths if path.is_file()}
    except OSError:  # not there, or being exchanged at this moment
        return {}


def start_anew() -> NoReturn:
    """Become a new process of the same command line, under the same id."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own command line


# What the files were before the settings were read from them: a change in between must not be missed.
_FOLDER = secrets_named()
_AT_START = read(_FOLDER) if _FOLDER else {}

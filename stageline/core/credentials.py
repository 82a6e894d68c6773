"""Credentials in files that change while a process runs, as those of a Kubernetes Secret do.

A process that finds them changed winds up as on SIGTERM and starts anew in its own place. So a Secret that is made,
mended or changed later is taken up by itself: no restart is counted against the container, and none backs off.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from stageline.core import logs
from stageline.core.settings import SECRETS_DIR, secrets_named

LOOK_SECONDS = 5.0


class CredentialWatch(threading.Thread):
    """Looks at the files of SECRETS_DIR every few seconds, where that is set."""

    def __init__(self, wind_up: Callable[[], None]) -> None:
        """Take what ends the work as SIGTERM does: called, in a thread of its own, when the files have changed."""
        super().__init__(name="credentials", daemon=True)
        self._wind_up = wind_up
        self._changed = False
        self._ended = threading.Event()

    def begin(self) -> None:
        """Begin to look; say so where nothing is there yet."""
        if _FOLDER is None:
            return
        if not _AT_START:
            reason = f"no file in {SECRETS_DIR}={_FOLDER}: the Secret is missing; make it, and this goes on by itself"
            logs.get().warning("no credentials", reason=reason)
        self.start()

    def run(self) -> None:
        """Look until they have changed."""
        while _FOLDER is not None and not self._ended.wait(LOOK_SECONDS):
            now = read(_FOLDER)
            if not now or now == _AT_START:  # where the whole Secret is gone, what was read from it still serves
                continue
            names = sorted(name for name in {*now, *_AT_START} if now.get(name) != _AT_START.get(name))
            logs.get().info("credentials changed", files=names, folder=str(_FOLDER), then="starting anew")
            self._changed = True
            self._wind_up()
            return

    def end(self) -> None:
        """Note that the process was told to end: then it does, whatever changes. Safe to call from a signal handler."""
        self._ended.set()

    def start_anew_if_changed(self) -> None:
        """Once all is wound up: become a new process of the same command line, under the same id; else return.

        Raises:
            OSError: this machine does not let us.
        """
        if not self._changed:
            return
        for signalled in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signalled, signal.SIG_DFL)  # one that comes from here on ends us at once, and is not lost
        if self._ended.is_set():
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own command line


def read(folder: Path) -> Mapping[str, bytes]:
    """The files of a folder; Kubernetes's own links (their names begin with dots) are left out."""
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return {path.name: path.read_bytes() for path in paths if path.is_file()}
    except OSError:  # not there, or being exchanged at this moment
        return {}


# What the files were before the settings were read from them: a change in between must not be missed.
_FOLDER = secrets_named()
_AT_START = read(_FOLDER) if _FOLDER else {}

"""Watches credentials in files that change while a process runs, as those of a Kubernetes Secret do.

A process that finds the files changed shuts down as on SIGTERM, and then executes itself again. So it uses a Secret
that is created or changed later without a restart of the container, which would count and back off.
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
    """Reads the files of SECRETS_DIR every LOOK_SECONDS, if that is set."""

    def __init__(self, wind_up: Callable[[], None]) -> None:
        """Keep the function that ends the work as SIGTERM does; this thread calls it when the files have changed."""
        super().__init__(name="credentials", daemon=True)
        self._wind_up = wind_up
        self._changed = False
        self._ended = threading.Event()

    def begin(self) -> None:
        """Start the thread; log a warning when the folder has no files yet."""
        if _FOLDER is None:
            return
        if not _AT_START:
            reason = f"no file in {SECRETS_DIR}={_FOLDER}: the Secret is missing; make it, and this goes on by itself"
            logs.get().warning("no credentials", reason=reason)
        self.start()

    def run(self) -> None:
        """Read the files until they have changed."""
        while _FOLDER is not None and not self._ended.wait(LOOK_SECONDS):
            now = read(_FOLDER)
            if not now or now == _AT_START:  # when the whole Secret is gone, the old credentials are still used
                continue
            names = sorted(name for name in {*now, *_AT_START} if now.get(name) != _AT_START.get(name))
            logs.get().info("credentials changed", files=names, folder=str(_FOLDER), then="starting anew")
            self._changed = True
            self._wind_up()
            return

    def end(self) -> None:
        """Let the process end instead of starting anew, whatever changes. Safe to call from a signal handler."""
        self._ended.set()

    def stop(self, *_: object) -> None:
        """End the watch, and wind the process up: also a signal handler."""
        self.end()
        self._wind_up()

    def stop_at_signals(self) -> None:
        """Have SIGTERM and SIGINT call `stop`."""
        for signalled in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signalled, self.stop)

    def start_anew_if_changed(self) -> None:
        """Execute the same command line again, under the same process id, if the files changed; call this last.

        Raises:
            OSError: the machine does not allow it.
        """
        if not self._changed:
            return
        for signalled in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signalled, signal.SIG_DFL)  # a signal from here on ends the process at once, and is not lost
        if self._ended.is_set():
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - the process's own command line


def read(folder: Path) -> Mapping[str, bytes]:
    """Read the files of a folder, without Kubernetes's own links, whose names begin with dots."""
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return {path.name: path.read_bytes() for path in paths if path.is_file()}
    except OSError:  # missing, or being replaced at this moment
        return {}


# The files before the settings were read from them, so that a change in between is not missed.
_FOLDER = secrets_named()
_AT_START = read(_FOLDER) if _FOLDER else {}

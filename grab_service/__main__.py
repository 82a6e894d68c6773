"""Run the door: ``python -m grab_service``. gunicorn serves it; the housekeeper runs beside it."""

import gc
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from gunicorn.app.base import BaseApplication

from grab_service.api.connections import CONNECTIONS, NoAccessLog, DeadlineWorker
from grab_service.http.app import create_app
from grab_service.line.intake import Intake
from stageline.core import logs, settings, threads
from stageline.core.credentials import CredentialWatch
from stageline.core.errors import EXIT_SETTINGS, SettingsError
from stageline.core.retrying import SERVER_AWAY
from stageline.core.settings import Settings
from stageline.maintenance.reaper import Reaper
from stageline.store import ObjectStore, open_store

# gunicorn's own lines, like every library's, go where ours go: see stageline.core.logs.
GUNICORN_LOGS: dict[str, Any] = {
    "root": {"level": "WARNING", "handlers": ["ours"]},
    "handlers": {"ours": {"class": "stageline.core.logs.FromLibraries"}},
    "loggers": {"gunicorn.error": {"level": "WARNING", "handlers": [], "propagate": True}},
}


class ApiServer(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """gunicorn with our settings; one process, threads inside it, since the work is waiting and decoding."""

    def __init__(self, found: Settings) -> None:
        self._found = found
        self.watching = CredentialWatch(lambda: self._end(signal.SIGTERM, None))
        super().__init__()

    def load_config(self) -> None:
        """Hand gunicorn its settings."""
        chosen: dict[str, Any] = {
            "bind": f"{self._found.host}:{self._found.port}",
            "worker_class": DeadlineWorker,
            "workers": self._found.num_workers,
            "threads": CONNECTIONS,
            "timeout": 120,
            "graceful_timeout": int(self._found.shutdown_seconds),
            "keepalive": 15,
            "limit_request_line": 8190,  # the most it takes: room for a name of 2.7 KB, percent-encoded
            "loglevel": "warning",
            "logger_class": NoAccessLog,
            "logconfig_dict": GUNICORN_LOGS,
            "proc_name": "stageline-grab",
            "control_socket_disable": True,  # it would be one per user, below HOME
            "when_ready": lambda _: self._watch_credentials(),
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def _watch_credentials(self) -> None:
        """Wind up by gunicorn's own handler of SIGTERM when they change; a real SIGTERM is noted before it."""
        self._end: Any = signal.getsignal(signal.SIGTERM)

        def end(signalled: int, frame: FrameType | None) -> None:
            self.watching.end()
            self._end(signalled, frame)

        signal.signal(signal.SIGTERM, end)
        self.watching.begin()

    def load(self) -> Any:
        """Make the application in gunicorn's worker, and start the housekeeper there."""
        store = open_store(self._found)
        threading.Thread(target=_make_ready, args=(store,), name="bucket", daemon=True).start()
        door = Intake(store, self._found)
        door.housekeeper = Reaper(self._found)
        door.housekeeper.start()
        app = create_app(self._found, door)
        gc.freeze()  # what is there now stays: no need to look through it again and again
        return app


def _make_ready(store: ObjectStore) -> None:
    """Have the bucket made before it is asked for; while that cannot be, the log says why."""
    SERVER_AWAY.call(store.check)


def main() -> None:
    """Serve until SIGTERM."""
    try:
        found = settings.load()
        logs.configure(found, "grab")
        open_store(found)
    except SettingsError as error:
        sys.stderr.write(f"grab: {error}\n")
        sys.exit(EXIT_SETTINGS)
    server, first = ApiServer(found), os.getpid()
    try:
        with threads.dying_together():
            server.run()
    except SystemExit:
        if os.getpid() == first:  # and not one of its workers, which leave by this way too
            server.watching.start_anew_if_changed()
        raise


main()

"""Run the door: ``python -m grab_service``. gunicorn serves it; the housekeeper runs beside it."""

import sys
from typing import Any

from gunicorn.app.base import BaseApplication

from grab_service.app import create_app
from grab_service.door import GrabDoor
from stageline import logs, settings
from stageline.errors import SettingsError
from stageline.housekeeper import Housekeeper
from stageline.service import EXIT_SETTINGS
from stageline.settings import Settings
from stageline.store import open_store


class DoorServer(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """gunicorn with our settings; one process, threads inside it, since the work is waiting and decoding."""

    def __init__(self, found: Settings) -> None:
        self._found = found
        super().__init__()

    def load_config(self) -> None:
        """Hand gunicorn its settings."""
        chosen: dict[str, Any] = {
            "bind": f"{self._found.host}:{self._found.port}",
            "worker_class": "gthread",
            "workers": self._found.num_workers,
            "threads": self._found.door_threads,
            "timeout": 120,
            "graceful_timeout": int(self._found.shutdown_seconds),
            "keepalive": 15,
            "limit_request_line": 8190,  # the most it takes: room for a 4 KB filename
            "loglevel": "warning",
            "proc_name": "stageline-grab",
            "control_socket_disable": True,  # it would be one per user, below HOME
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Make the application in gunicorn's worker, and start the housekeeper there."""
        store = open_store(self._found)
        Housekeeper(self._found).start()
        return create_app(self._found, GrabDoor(store, self._found))


def main() -> None:
    """Serve until SIGTERM."""
    try:
        found = settings.load()
        logs.configure(found, "grab")
        open_store(found)
    except SettingsError as error:
        sys.stderr.write(f"grab: {error}\n")
        sys.exit(EXIT_SETTINGS)
    DoorServer(found).run()


main()

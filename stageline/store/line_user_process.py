"""Creates the line's user on MinIO: ``python -P -m stageline.store.line_user_process [--keep]``.

With ``--keep`` the process keeps running, and creates the user again if it disappears, as when a volume is emptied.
"""

import argparse
import os
import signal
import sys
import time

from stageline.core import logs, settings
from stageline.core.credentials import CredentialWatch
from stageline.core.errors import EXIT_SETTINGS, SettingsError
from stageline.core.retrying import SERVER_AWAY
from stageline.core.settings import Settings
from stageline.store.line_user import LineUser

LOOK_SECONDS = 60.0
WIND_UP = signal.SIGUSR1  # sent by the watch of the credentials, to end a pause


def main() -> None:
    """Create the user, waiting while MinIO is away; with --keep, check it again each minute."""
    parser = argparse.ArgumentParser(prog="line_user", description="Makes the line's user on MinIO.")
    parser.add_argument("--keep", action="store_true", help="stay, and make anew what goes missing")
    keep = parser.parse_args().keep
    watching = CredentialWatch(lambda: os.kill(os.getpid(), WIND_UP))

    def end(signalled: int, _: object) -> None:
        if signalled != WIND_UP:
            watching.end()
        sys.exit(0)

    for signalled in (signal.SIGTERM, signal.SIGINT, WIND_UP):
        signal.signal(signalled, end)
    try:
        found = settings.load()
        logs.configure(found, "line_user")
        watching.begin()
        _run(LineUser(found), found, keep=keep)
    except SettingsError as error:
        sys.stderr.write(f"line_user: {error}\n")
        sys.exit(EXIT_SETTINGS)
    except SystemExit:
        watching.start_anew_if_changed()
        raise


def _run(user: LineUser, found: Settings, *, keep: bool) -> None:
    if user.is_root:
        logs.get().info("nothing to make", reason="MINIO_ACCESS_KEY is MinIO's root user: the line works as root")
    while True:
        if not user.is_root and SERVER_AWAY.call(user.ensure):
            buckets = [found.s3_bucket, found.models_bucket]
            logs.get().info("line user made", user=found.minio_access_key, buckets=buckets)
        if not keep:
            return
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()

"""Pictures by curl, one after another, whatever happens to the API meanwhile; every id that was answered 202."""

import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NODE = os.environ.get("STAGELINE_TEST_NODE", "127.0.0.1")
API = f"http://{NODE}:30005"
CONSOLE = f"http://{NODE}:30003"
PAUSE = 0.3
ASK_AGAIN = {0, 408, 429, 500, 502, 503, 504}  # 0: no answer


def curl(*words: str, timeout: float = 30.0) -> tuple[int, bytes]:
    """Run curl; the status of the answer and its body, or 0 and what curl said where there was no whole answer."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", str(timeout), "--write-out", "\n%{http_code}", *words],
        capture_output=True,
        timeout=timeout + 10,
        check=False,
    )
    if done.returncode:
        return 0, done.stderr
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def ask(path: str) -> Any:
    """Ask the API for JSON.

    Raises:
        OSError: it is away, or refuses.
    """
    status, body = curl(API + path)
    if status != 200:
        raise OSError(f"GET {path}: {status} {body[:500]!r}")
    return json.loads(body)


def send(picture: Path) -> tuple[int, bytes]:
    """Upload a picture, as the README shows."""
    return curl("--form", f"image=@{picture}", f"{API}/upload")


class Uploader(threading.Thread):
    """Sends pictures until it is stopped."""

    def __init__(self, pictures: Sequence[Path], pause: float = PAUSE) -> None:
        super().__init__(name="uploader", daemon=True)
        self.accepted: list[str] = []
        self.refused: list[str] = []
        """Answers that a good picture must not get."""
        self.retried = 0
        self._pictures, self._pause = itertools.cycle(pictures), pause
        self._ended = threading.Event()

    def run(self) -> None:
        """Send the next picture, the same again until it is taken."""
        while not self._ended.is_set():
            begun = time.monotonic()
            self._send(next(self._pictures))
            self._ended.wait(max(0.0, self._pause - (time.monotonic() - begun)))

    def stop(self) -> None:
        """Send no more."""
        self._ended.set()
        self.join(60)

    def _send(self, picture: Path) -> None:
        while not self._ended.is_set():
            status, body = send(picture)
            if status == 202:
                self.accepted.append(str(json.loads(body)["image_id"]))
                return
            if status not in ASK_AGAIN:
                self.refused.append(f"{picture.name}: {status} {body[:500]!r}")
                return
            self.retried += 1
            self._ended.wait(self._pause)

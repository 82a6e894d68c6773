"""The API as it is deployed, gunicorn and all, driven by the real curl."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.picture_makers import all_kinds
from tests.support.server_process import free_port

JPEG = all_kinds()["jpeg"]
MAX_BYTES = 1_000_000
TIMEOUT = 60.0  # seconds for what must come; nothing is asserted of how soon


class Answer(NamedTuple):
    """What curl got."""

    status: int
    content_type: str
    body: bytes
    headers: str


class ServedApi:
    """``python -m grab_service`` on a free port."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        own = {
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "STAGELINE_DATA": str(folder),
            "MAX_UPLOAD_BYTES": str(MAX_BYTES),
        }
        self._log = (folder / "api.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "grab_service"], env={**os.environ, **own, **environment}, stderr=self._log,
            stdout=self._log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: self.curl("/healthz").status == 200)

    def curl(self, path: str, *options: str, body: bytes = b"") -> Answer:
        """Run curl; status 0 when it got no answer."""
        headers = self.folder / f"headers-{threading.get_ident()}"
        done = subprocess.run(
            ["curl", "-sS", "-m", "60", "-D", str(headers), "-w", "\n%{http_code} %{content_type}", *options,
             self.url + path], input=body, capture_output=True, check=False,
        )  # fmt: skip
        content, _, line = done.stdout.rpartition(b"\n")
        status, _, kind = line.decode().partition(" ")
        return Answer(int(status), kind, content, headers.read_text() if headers.exists() else "")

    def upload(self, body: bytes = JPEG) -> Answer:
        """Send the raw body."""
        return self.curl("/upload", "--data-binary", "@-", body=body)

    def stop(self) -> None:
        """End it, and whatever it started."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


def until(true: Callable[[], bool]) -> None:
    """Wait for what must become true."""
    deadline = time.monotonic() + TIMEOUT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def assert_problem(answer: Answer, status: int, *words: bytes, retry: bool = False) -> None:
    """An error as problem+json, with Retry-After where it may be tried again."""
    assert (answer.status, answer.content_type) == (status, "application/problem+json"), answer
    assert json.loads(answer.body)["status"] == status
    for word in words:
        assert word in answer.body
    assert ("Retry-After:" in answer.headers) == (retry or status in (429, 503))

"""The process that makes the line's user on a real MinIO: it waits, stays and ends as its settings say."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stageline.store import S3Store
from tests.support.line_user_helpers import ACCESS, SECRET, admin_of, settings_of
from tests.support.places import REPOSITORY
from tests.support.running_line import inherited
from tests.support.servers import MinioServer

NEEDED = ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")
LINE_USER = [sys.executable, "-P", "-m", "stageline.store.line_user_process"]


@pytest.fixture
def server(start_minio: Callable[[], MinioServer]) -> MinioServer:
    return start_minio()


class Process:
    """The process that makes the user, and what it logged so far."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*LINE_USER, *arguments], env=inherited() | environment, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=lambda: self.said.extend(iter(self.process.stderr.readline, "")))
        self._reader.start()

    def says(self, text: str) -> None:
        deadline = time.monotonic() + 90
        while not any(text in row for row in self.said):
            assert time.monotonic() < deadline, f"{text!r} was never said, but: {self.said}"
            time.sleep(0.05)

    def ends(self, seconds: float = 90) -> int:
        status = self.process.wait(seconds)
        self._reader.join()
        return status


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(*arguments: str, **environment: str) -> Process:
        started.append(Process(*arguments, **environment))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.ends()


def environment_of(server: MinioServer, **more: str) -> dict[str, str]:
    root = {"MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key}
    line = {"MINIO_ACCESS_KEY": ACCESS, "MINIO_SECRET_KEY": SECRET, "MINIO_ENDPOINT": server.endpoint}
    return {**root, **line, **more}


def test_the_process_waits_for_minio_and_ends(start, start_minio) -> None:
    """A MinIO that is away is said in one line and waited for; without --keep it ends when the user is made."""
    later: MinioServer = start_minio(at_once=False)
    process = start(**environment_of(later))
    process.says("cannot be reached (MINIO_ENDPOINT)")
    later.start()
    assert process.ends() == 0
    assert len([row for row in process.said if "waiting" in row]) == 1
    S3Store.from_settings(settings_of(later)).check()


def test_with_keep_it_stays_until_sigterm(start, server: MinioServer) -> None:
    """It stays beside the server, and SIGTERM ends it at once: while it rests, and while it waits for the right key."""
    resting = start("--keep", **environment_of(server))
    waiting = start("--keep", **environment_of(server, MINIO_ROOT_PASSWORD="not-the-password"))
    resting.says("line user made")
    waiting.says("SignatureDoesNotMatch")
    for process in (resting, waiting):
        assert process.process.poll() is None
        process.process.send_signal(signal.SIGTERM)
        assert process.ends(30) == 0  # which does not wait for the minute between two looks to be over


def test_with_keep_a_mended_secret_is_taken_up(start, server: MinioServer, tmp_path: Path) -> None:
    """Credentials that are missing are waited for; when their files come, it goes on with them by itself."""
    process = start("--keep", MINIO_ENDPOINT=server.endpoint, SECRETS_DIR=str(tmp_path))
    process.says("MINIO_ROOT_USER and MINIO_ROOT_PASSWORD and MINIO_ACCESS_KEY and MINIO_SECRET_KEY not set")
    for name, value in environment_of(server).items():
        if name != "MINIO_ENDPOINT":
            (tmp_path / name).write_text(value)
    process.says("line user made")
    S3Store.from_settings(settings_of(server)).check()


def test_as_root_there_is_nothing_to_make(start, server: MinioServer) -> None:
    """Where the line is to work as MinIO's root, that is said, and no user is made."""
    process = start(**environment_of(server, MINIO_ACCESS_KEY=server.access_key, MINIO_SECRET_KEY=server.secret_key))
    process.says("works as root")
    assert process.ends() == 0
    assert json.loads(admin_of(server).user_list() or "{}") == {}


def test_a_malformed_setting_ends_it(start) -> None:
    """As with every process of the line: exit status 78, and a sentence that names the variable."""
    process = start("--keep", MINIO_ENDPOINT="ftp://no", **dict.fromkeys(NEEDED, "12345678"))
    assert process.ends() == 78
    assert "MINIO_ENDPOINT=" in "".join(process.said)

"""Credentials in files, as a mounted Secret: missing, wrong, mended; the process goes on under its own id."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from stageline.core.credentials import LOOK_SECONDS
from stageline.core.errors import EXIT_SETTINGS
from stageline.core.retrying import SERVER_AWAY
from stageline.core.settings import with_password
from stageline.local.ports import free_port
from stageline.pipeline import line
from tests.support.running_line import RunningLine, inherited
from tests.support.servers import RedisServer

PASSWORD = "0123456789abcdef"


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


class Service:
    """A service's own process, whose credentials are files of a folder that may not be there yet."""

    def __init__(self, package: str, folder: Path, **environment: str) -> None:
        self.secrets, self.log = folder / "secrets", folder / "log"
        self.port = free_port()
        own = {"PORT": str(self.port), "HEALTH_PORT": str(self.port), "STAGELINE_DATA": str(folder / "data")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", package],
                env={**inherited(), **own, "SECRETS_DIR": str(self.secrets), **environment}, stdout=log, stderr=log,
            )  # fmt: skip

    def secret(self, name: str, value: str) -> None:
        """Put it there in one step, as the kubelet does."""
        self.secrets.mkdir(exist_ok=True)
        new = self.secrets / f"..{name}"
        new.write_text(value)
        new.replace(self.secrets / name)

    def readiness(self) -> tuple[int, str]:
        """What /readyz answers; 0 while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def waits_for(self, status: int, words: str = "", seconds: float = 120) -> str:
        """Ask until it answers so; what it said."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            got, said = self.readiness()
            if got == status and words in said:
                return said
            time.sleep(0.2)
        raise AssertionError(f"{self.readiness()} instead of {status} {words!r}; its log:\n{self.log.read_text()}")

    def said(self) -> list[dict[str, object]]:
        """Its log, but for a line that is being written."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(row) for row in whole.splitlines() if row.startswith("{")]

    def has_said(self, event: str) -> bool:
        return any(row["event"] == event for row in self.said())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def begin(package: str, **environment: str) -> Service:
        started.append(Service(package, tmp_path, **environment))
        return started[-1]

    yield begin
    for service in started:
        service.process.kill()
        service.process.wait()


@pytest.mark.parametrize("package", ["resize_service", "catalogue_service", "grab_service"])
def test_a_secret_that_comes_later_is_taken_up(
    package: str, start: Callable[..., Service], start_redis: Callable[..., RedisServer]
) -> None:
    server = start_redis("--requirepass", PASSWORD)
    service = start(package, REDIS_URL=server.url)
    service.waits_for(503, "REDIS_PASSWORD")
    until(lambda: service.has_said("no credentials"))  # which it does after it has begun to answer
    service.secret("REDIS_PASSWORD", "wrong")
    service.waits_for(503, "invalid username-password pair")
    service.secret("REDIS_PASSWORD", PASSWORD)
    service.waits_for(200)
    assert service.process.poll() is None  # the very process that was started first
    changes = [row for row in service.said() if row["event"] == "credentials changed"]
    assert [row["files"] for row in changes] == [["REDIS_PASSWORD"]] * 2
    assert PASSWORD not in service.log.read_text()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0


@pytest.mark.parametrize(
    ("package", "more"),
    [("resize_service", {}), ("resize_service", {"NUM_WORKERS": "2"}), ("catalogue_service", {}), ("grab_service", {})],
)
def test_a_process_ends_at_sigterm_although_the_secret_changed(
    package: str, more: dict[str, str], start: Callable[..., Service], start_redis: Callable[..., RedisServer]
) -> None:
    """As where a pod is replaced just after its Secret was: a SIGTERM is not lost in starting anew."""
    service = start(package, REDIS_URL=start_redis().url, SHUTDOWN_SECONDS="5", **more)
    service.waits_for(200)
    service.secret("JPEG_QUALITY", "90")
    until(lambda: service.has_said("credentials changed"))
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) in (0, -signal.SIGTERM)  # of its own, or before it had set itself up again


def test_what_flows_while_the_secret_changes_is_done_once(
    start_line: Callable[..., RunningLine], data_dir: Path, tmp_path: Path
) -> None:
    """All of the line starts anew in the middle of its work: nothing is lost, tried again or done twice."""
    (tmp_path / "JPEG_QUALITY").write_text("95")
    running = start_line(SECRETS_DIR=str(tmp_path))
    pictures = sorted((data_dir / "coco128" / "images").glob("*.jpg"))[:40]
    (tmp_path / "JPEG_QUALITY").write_text("90")
    ids = []
    for path in pictures:  # for longer than they look away; while the API itself starts anew, its client repeats
        ids.append(SERVER_AWAY.call(partial(running.client.upload, path)))
        time.sleep(0.2)
    found = list(running.client.wait(ids))
    assert [each["status"] for each in found] == ["completed"] * len(ids)
    assert {
        stage["attempt"] for each in found for stage in each["results"]["stages"].values() if "attempt" in stage
    } == {1}
    until(lambda: sum(running.client.get("/queue-status")["total"].values()) == 0)
    many = len(line.LINE) + 2  # the API and the catalogue
    until(lambda: running.log.read_text().count('"credentials changed"') >= many)
    assert running.log.read_text().count('"credentials changed"') == many


def test_half_a_secret_is_waited_for(start: Callable[..., Service], start_redis: Callable[..., RedisServer]) -> None:
    service = start("resize_service", REDIS_URL=start_redis().url, MINIO_ENDPOINT="127.0.0.1:9")
    service.secret("MINIO_ACCESS_KEY", "stageline")
    service.waits_for(503, "MINIO_SECRET_KEY is not")
    assert service.process.poll() is None


def test_a_secret_that_is_no_text_is_named(start: Callable[..., Service], tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "REDIS_PASSWORD").write_bytes(b"\xff\xfe")
    service = start("resize_service")
    assert service.process.wait(120) == EXIT_SETTINGS
    assert "redis_password" in service.log.read_text()
    assert "Traceback" not in service.log.read_text()


def test_a_secret_that_is_gone_changes_nothing(
    start: Callable[..., Service], start_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server = start_redis("--requirepass", PASSWORD)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "REDIS_PASSWORD").write_text(PASSWORD)
    service = start("resize_service", REDIS_URL=server.url)
    service.waits_for(200)
    (tmp_path / "secrets" / "REDIS_PASSWORD").unlink()
    time.sleep(LOOK_SECONDS + 2)
    service.waits_for(200, seconds=10)
    assert not service.has_said("credentials changed")


def test_a_malformed_secret_ends_the_process_and_is_not_said(start: Callable[..., Service], tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "DATABASE_URL").write_text("mysql://user:geheim@host/db")
    service = start("resize_service")
    assert service.process.wait(120) == EXIT_SETTINGS
    assert "DATABASE_URL" in service.log.read_text()
    assert "geheim" not in service.log.read_text()


@pytest.mark.parametrize(
    ("url", "password", "whole"),
    [
        ("redis://redis:6379/0", "p@ss/w:rd", "redis://:p%40ss%2Fw%3Ard@redis:6379/0"),
        ("postgresql://stageline@db:5432/x", "abc", "postgresql://stageline:abc@db:5432/x"),
        ("redis://:own@redis:6379/0", "abc", "redis://:own@redis:6379/0"),
        ("rediss://[::1]:6379", "abc", "rediss://:abc@[::1]:6379"),
        ("sqlite:////data/x.db", "abc", "sqlite:////data/x.db"),
        ("unix:///run/redis.sock", "abc", "unix://:abc@/run/redis.sock"),
    ],
)
def test_passwords_go_into_their_urls(url: str, password: str, whole: str) -> None:
    assert with_password(url, password) == whole

"""A thread that dies takes its process with it: each background thread of each service, by an error within it."""

import json
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import urllib3

from stageline.broker.keys import OUTCOMES
from stageline.broker.producer import Producer
from stageline.core.settings import Settings
from stageline.local.ports import free_port
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.store import FolderStore
from stageline.store.base import StoredObject
from tests.support.running_line import inherited
from tests.support.served_api import JPEG, until

EXIT_CRASH = 70
# In each process: notes the name of each thread that starts, shortens long waits, and breaks the named function.
BREAKING = """
import functools, importlib, os, sys, threading

class Injected(BaseException):
    pass

start = threading.Thread.start
def noted(self):
    with open(os.environ["THREADS"], "a") as names:
        names.write(self.name + "\\n")
    start(self)
threading.Thread.start = noted

def named(path):
    module, _, inside = path.partition(":")
    *above, last = inside.split(".")
    return functools.reduce(getattr, above, importlib.import_module(module)), last

if sys.orig_argv[-1] == os.environ.get("SERVICE"):
    for path in ("stageline.core.credentials:LOOK_SECONDS", "stageline.registry.serving:LOOK_SECONDS",
                 "stageline.store.hot_cache:PAUSE_SECONDS", "catalogue_service.retention:SWEEP_SECONDS"):
        setattr(*named(path), 0.2)
    if os.environ.get("BREAK"):
        def broken(*words, **more):
            raise (Injected if "GRAVELY" in os.environ else RuntimeError)("an error was injected here")
        setattr(*named(os.environ["BREAK"]), broken)
"""


class Death(NamedTuple):
    """A thread, what breaks in it, and whether its own loop takes lesser errors for what passes."""

    thread: str
    breaks: str
    gravely: bool = False


EVERYWHERE = (
    Death("health", "stageline.worker.health:_Server.service_actions"),
    Death("credentials", "stageline.core.credentials:read"),
)
STAGE = (
    *EVERYWHERE,
    Death("lease", "stageline.worker.heartbeat:Lease._stop_if_hung"),
    Death("prefetcher", "stageline.worker.prefetcher:Prefetcher._pop"),
    Death("fetcher", "stageline.worker.prefetcher:Prefetcher._fetch"),
    Death("committer", "stageline.worker.committer:Committer._commit_all"),
    Death("models", "stageline.registry.serving:ModelWatch.run"),
    Death("cache", "stageline.store.hot_cache:HotCache._drop_stale_later"),
    Death("MainThread", "stageline.worker.loop:Worker._next_batch"),
)
WITH_MODELS = (
    Death("models", "stageline.registry.serving:ModelWatch._try_update_all"),
    Death("fetch", "stageline.registry.serving:ModelWatch._fetch"),
)
DEATHS = {
    "resize_service": STAGE,
    "grayscale_service": (STAGE[3],),
    "detect_service": WITH_MODELS,
    "classify_service": WITH_MODELS,
    "tag_service": (STAGE[5],),
    "catalogue_service": (
        *EVERYWHERE,
        Death("lease", "catalogue_service.lease:WriterLease.renew"),
        Death("retention", "catalogue_service.retention:Retention.sweep", gravely=True),
        Death("documents", "stageline.catalogue.writer:Writer._read"),  # what its answers are for dies of it
        Death("MainThread", "catalogue_service.consumer:OutboxConsumer.step"),
    ),
    "grab_service": (
        Death("credentials", "stageline.core.credentials:read"),
        Death("reaper", "stageline.maintenance.reaper:Reaper.sweep", gravely=True),
        Death("events", "stageline.broker.events:read"),
        Death("bucket", "stageline.store.folder:FolderStore.check"),
        Death("cache", "stageline.store.hot_cache:HotCache._drop_stale_later"),
        Death("claims", "grab_service.line.claims:HeldClaims._run"),
        Death("probe", "grab_service.line.probes:Probe._answer"),
    ),
}
BY_REQUESTS = ("events", "cache", "claims", "probe")  # which begin when somebody asks for what they do
IN_MASTER = ("credentials",)  # of gunicorn; its other threads run in a worker, and gunicorn starts another
OF_REQUESTS = {"ThreadPoolExecutor"}  # of gunicorn


class Process:
    """A service with everything that may start a thread: a Secret's files, a hot cache that does not answer."""

    def __init__(self, folder: Path, service: str, settings: Settings, death: Death | None, **more: str) -> None:
        for name, content in (("sitecustomize.py", BREAKING), ("secrets/redis_password", "")):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        self.service, self.port, self._settings = service, free_port(), settings
        self._names, self._log = folder / "threads", folder / "service.log"
        self.store = FolderStore(settings.stageline_data / "images")
        own = {
            "PYTHONPATH": str(folder), "THREADS": str(self._names), "SERVICE": service, "PORT": str(self.port),
            "HOST": "127.0.0.1", "HEALTH_PORT": str(self.port), "REDIS_URL": settings.redis_url,
            "STAGELINE_DATA": str(settings.stageline_data), "MODELS_DIR": str(settings.models_folder),
            "CACHE_URL": "redis://127.0.0.1:9/0", "SECRETS_DIR": str(folder / "secrets"), "LEASE_SECONDS": "1",
        }  # fmt: skip
        if death is not None:
            own |= {"BREAK": death.breaks, **({"GRAVELY": "1"} if death.gravely else {})}
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", service]
            self.process = subprocess.Popen(command, env=inherited() | own | more, stdout=log, stderr=log)

    def feed(self) -> None:
        """Give it a picture, or an outbox event, so that all its threads come to work."""
        if self.service == "grab_service":
            self._ask_the_api()
            return
        document = {"image_id": "a", "run": 1, "status": "completed"}
        Producer(self._settings.redis_url, 10).client.rpush(OUTCOMES, json.dumps(document))
        for stage in line.LINE:
            if stage.package == self.service:
                paths = {"original_path": "original/a.jpg", "path": "resized/a.jpg", "origin_w": 64, "origin_h": 48}
                for key in ("original/a.jpg", "resized/a.jpg"):
                    self.store.put(StoredObject(key, JPEG, "image/jpeg"))
                Producer(self._settings.redis_url, 10).client.rpush(
                    stage.queue, Message.of({"image_id": "a", **paths}).raw
                )

    def _ask_the_api(self) -> None:
        http, address = urllib3.PoolManager(timeout=5, retries=False), f"http://127.0.0.1:{self.port}"

        def asked() -> bool:
            try:
                key = {"Idempotency-Key": uuid.uuid4().hex}
                uploaded = http.request("POST", f"{address}/upload", body=JPEG, headers=key).status
                http.request("GET", f"{address}/health")
                followed = http.request("GET", f"{address}/events", preload_content=False)
                followed.close()
            except urllib3.exceptions.HTTPError:
                return self.process.poll() is not None or "crashed" in self.log()
            return (uploaded, followed.status) == (202, 200)

        until(asked)

    def log(self) -> str:
        """What it said."""
        return self._log.read_text()

    def crashes(self) -> list[dict]:
        """What it said of threads that died."""
        entries = [json.loads(entry) for entry in self.log().splitlines() if entry.startswith("{")]
        return [entry for entry in entries if entry["event"] == "crashed"]

    def threads(self) -> set[str]:
        """The threads that started in it, and in its children; pools' and requests' without their numbers."""
        names = self._names.read_text().split("\n") if self._names.exists() else []
        return {re.sub(r"[-_]\d+.*", "", name) for name in names if name}


@pytest.fixture
def start(tmp_path: Path, settings: Settings) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def run(service: str, death: Death | None = None, **more: str) -> Process:
        started.append(Process(tmp_path, service, settings, death, **more))
        return started[-1]

    yield run
    for each in started:
        each.process.send_signal(signal.SIGKILL)
        each.process.wait()


@pytest.mark.parametrize(
    ("service", "death"),
    [pytest.param(service, death, id=f"{service}-{death.thread}-{death.breaks.rpartition('.')[2]}")
     for service, deaths in DEATHS.items() for death in deaths],
)  # fmt: skip
def test_a_thread_that_dies_takes_its_process_with_it(
    service: str, death: Death, start: Callable[..., Process]
) -> None:
    """It says which thread, and of what, and ends with 70; of gunicorn a worker does, and another is started."""
    running = start(service, death)
    running.feed()
    if service == "grab_service" and death.thread not in IN_MASTER:
        until(lambda: "exited with code 70" in running.log())
        if death.thread in BY_REQUESTS:
            running.feed()
        until(lambda: len(running.crashes()) > 1)
        assert running.process.poll() is None
    else:
        assert running.process.wait(60) == EXIT_CRASH
    thread = "MainThread" if death.thread == "documents" else death.thread
    for crash in running.crashes():
        assert re.sub(r"_\d+$", "", crash["thread"]) == thread
        assert "an error was injected here" in crash["exception"]


@pytest.mark.parametrize("service", ["resize_service", "detect_service", "catalogue_service", "grab_service"])
def test_no_thread_runs_that_the_test_above_does_not_kill(service: str, start: Callable[..., Process]) -> None:
    """The threads that a service starts, with everything set that starts one, are those of its list."""
    running = start(service)
    running.feed()
    expected = {death.thread for death in DEATHS[service]} - {"MainThread"}
    if service == "detect_service":  # as every stage; what it makes is kept in no cache
        expected |= {death.thread for death in STAGE} - {"MainThread", "cache"}
    until(lambda: expected <= running.threads())
    assert running.threads() - OF_REQUESTS == expected
    assert not running.crashes()


def test_a_child_whose_thread_dies_is_started_again(start: Callable[..., Process]) -> None:
    """NUM_WORKERS=2: the children die of it, the process that watches them says so and starts others."""
    running = start("resize_service", STAGE[2], NUM_WORKERS="2")
    until(lambda: running.log().count('"exit_status": 70') > 2)
    assert running.process.poll() is None


def test_a_command_whose_thread_dies_ends(tmp_path: Path, settings: Settings) -> None:
    """`stageline run` does not wait for ever for models that a thread was to load."""
    picture = tmp_path / "a.jpg"
    picture.write_bytes(JPEG)
    (tmp_path / "sitecustomize.py").write_text(BREAKING)
    own = {"PYTHONPATH": str(tmp_path), "THREADS": str(tmp_path / "threads"), "MODELS_DIR": str(settings.models_folder),
           "SERVICE": str(picture), "BREAK": "stageline.registry.serving:ModelWatch._first_update"}  # fmt: skip
    command = [sys.executable, "-m", "stageline", "run", str(picture)]
    done = subprocess.run(command, env=inherited() | own, cwd=tmp_path, check=False, timeout=120)
    assert done.returncode == EXIT_CRASH

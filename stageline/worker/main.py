"""The entry point of every stage: reads settings, starts logs and health, and runs the worker until SIGTERM."""

import os
import signal
import sys
import threading
from functools import partial

from stageline.core import logs, settings, threads
from stageline.core.credentials import CredentialWatch
from stageline.core.errors import EXIT_SETTINGS, SettingsError, Unavailable
from stageline.core.retrying import SERVER_AWAY
from stageline.core.settings import Settings
from stageline.core.supervisor import Supervisor
from stageline.pipeline import line
from stageline.registry import missing_models
from stageline.registry.serving import ModelWatch
from stageline.store import open_store
from stageline.worker import health
from stageline.worker.loop import Worker

WORKER_INDEX = "STAGELINE_WORKER_INDEX"


def main(name: str) -> None:
    """Run the stage ``name``, in this process or in NUM_WORKERS children that it watches."""
    try:
        found = settings.load()
        logs.configure(found, name)
        with threads.exiting_on_crash():
            _run(name, found)
    except SettingsError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(EXIT_SETTINGS)


def _run(name: str, found: Settings) -> None:
    if found.num_workers > 1 and WORKER_INDEX not in os.environ:
        _run_children(name, found)
    else:
        _run_worker(name, found).start_anew_if_changed()
        os._exit(0)  # do not wait for a fetch that hangs while the store is away; its message was returned


def _run_children(name: str, found: Settings) -> None:
    supervisor = Supervisor()
    for index in range(found.num_workers):
        environment = {WORKER_INDEX: str(index), "WORKER_ID": f"{found.worker_id}-{index}"}
        if found.health_port:
            environment["HEALTH_PORT"] = str(found.health_port + index)
        supervisor.add(f"{name}-{index}", [sys.executable, "-P", "-m", line.stage(name).package], environment)
    supervisor.run_until_signal(found.shutdown_seconds + 5)


def _run_worker(name: str, found: Settings) -> CredentialWatch:
    """Run the worker until a signal ends it, or the credentials change."""
    stage = line.stage(name)
    store = open_store(found)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    work = stage.load(found)
    models = ModelWatch(work.models, found, name)
    worker = Worker(stage, work, store, found, partial(missing_models.encode_report, models))
    checks = {"redis": lambda: health.check_redis(worker.consumer.client), "object_store": store.check}
    if work.models:
        checks["model_store"] = models.check
    if found.health_port:
        health.serve(found.health_port, partial(health.readiness, checks, models))

    def wind_up() -> None:
        stopping.set()
        worker.stop()

    watching = CredentialWatch(wind_up)
    watching.stop_at_signals()
    if stopping.is_set():
        watching.stop()
    watching.begin()
    models.start()
    try:
        SERVER_AWAY.call(store.check, stopping)
    except Unavailable:
        return watching  # stopped before the store was reached
    models.wait_for_models(stopping.is_set)
    worker.run()
    return watching

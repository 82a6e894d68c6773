"""Starts the service: settings, logs, health, migrations, and then the consumer until SIGTERM."""

import os
import sys
import threading

from sqlalchemy import Engine

from catalogue_service.consumer import OutboxConsumer
from catalogue_service.lease import WriterLease
from catalogue_service.retention import Retention
from stageline.broker.redis_client import connect
from stageline.catalogue import Catalogue, expiry, open_engine
from stageline.catalogue.migrate import migrate
from stageline.catalogue.writer import Writer
from stageline.core import logs, settings, threads
from stageline.core.credentials import CredentialWatch
from stageline.core.errors import EXIT_SETTINGS, SettingsError, Unavailable
from stageline.core.retrying import SERVER_AWAY
from stageline.core.settings import Settings
from stageline.store import ObjectStore, open_store
from stageline.worker import health

STATEMENT_SECONDS = 60.0  # longer than for readers: no client waits for the writer


def main() -> None:
    """Write the catalogue until SIGTERM."""
    try:
        found = settings.load()
        logs.configure(found, "catalogue")
        with threads.exiting_on_crash():
            _run(found).start_anew_if_changed()
    except SettingsError as error:
        sys.stderr.write(f"catalogue: {error}\n")
        sys.exit(EXIT_SETTINGS)
    os._exit(0)  # without waiting for a read from a store that is away


def _run(found: Settings) -> CredentialWatch:
    """Write until SIGTERM, SIGINT or a change of the credentials."""
    stopping = threading.Event()
    engine, store = open_engine(found, STATEMENT_SECONDS), open_store(found)
    lease = WriterLease(found.redis_url, found.lease_seconds)
    consumer = OutboxConsumer(found.redis_url, Writer(engine, store, found.retention_days), lease)

    def wind_up() -> None:
        stopping.set()
        consumer.end()

    watching = CredentialWatch(wind_up)
    watching.stop_at_signals()
    if found.health_port:
        _serve_health(found, engine, store, consumer)
    watching.begin()
    try:
        SERVER_AWAY.call(lambda: _make_ready(engine, store, found), stopping)
    except Unavailable:
        return watching  # stopped before the servers were reached
    retention = Retention(Catalogue(engine), store, lease, found)
    lease.start()
    retention.start()
    consumer.run()
    retention.end()
    lease.end()
    return watching


def _make_ready(engine: Engine, store: ObjectStore, found: Settings) -> None:
    store.check()
    migrate(engine)
    expiry.bring_up_to_date(engine, found.retention_days)


def _serve_health(found: Settings, engine: Engine, store: ObjectStore, consumer: OutboxConsumer) -> None:
    client, catalogue = connect(found.redis_url), Catalogue(engine)

    def check_catalogue() -> None:
        catalogue.check()
        consumer.check()

    checks = {"redis": lambda: health.check_redis(client), "object_store": store.check, "catalogue": check_catalogue}
    health.serve(found.health_port, lambda: health.readiness(checks))

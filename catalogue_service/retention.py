"""Erasing what is past its time: pictures by RETENTION_DAYS, and what is left of probes."""

import threading
from datetime import UTC, datetime, timedelta

from catalogue_service.lease import WriterLease
from stageline import logs
from stageline.catalogue import Catalogue, expiry
from stageline.catalogue.writer import PROBE
from stageline.erase import erase_objects
from stageline.errors import NotFound, Unavailable
from stageline.queue import Door
from stageline.settings import Settings
from stageline.store import ObjectStore

SWEEP_SECONDS = 60.0
AT_ONCE = 1000
PROBE_LASTS = timedelta(hours=1)


class Retention(threading.Thread):
    """Sweeps once a minute, where this process is the one that writes."""

    def __init__(self, catalogue: Catalogue, store: ObjectStore, lease: WriterLease, settings: Settings) -> None:
        super().__init__(name="retention", daemon=True)
        self._catalogue = catalogue
        self._store = store
        self._lease = lease
        self._settings = settings
        self._door = Door(settings.redis_url, settings.max_queue_size, settings.status_ttl)
        self._ended = threading.Event()

    def run(self) -> None:
        """Sweep until ended."""
        while not self._ended.wait(SWEEP_SECONDS):
            if not self._lease.is_held:
                continue
            try:
                self.sweep(datetime.now(UTC))
            except Unavailable as error:
                logs.get().warning("nothing is erased for now", reason=str(error))
            except Exception:  # noqa: BLE001 - the next sweep may do better
                logs.get().exception("the sweep failed; it tries again")

    def end(self) -> None:
        """Stop sweeping."""
        self._ended.set()

    def sweep(self, now: datetime) -> None:
        """Erase what is past its time at ``now``.

        Raises:
            Unavailable: Redis, the database or the bucket is away; what is left is done another time.
        """
        if self._settings.retention_days:
            self._sweep_pictures(now)
        self._sweep_probes(now)
        expiry.forget_tombstones(self._catalogue.engine, now)

    def _sweep_pictures(self, now: datetime) -> None:
        """Erase those that are longest past their time; the writer takes their rows away, the next sweep takes more."""
        found = self._catalogue.expired(now, AT_ONCE)
        for picture in found:
            if self._ended.is_set():
                return
            self._erase(picture["image_key"], picture["sha256"], picture["filename"])
        if found:
            logs.get().info("erased", pictures=len(found), reason="RETENTION_DAYS")

    def _erase(self, image_id: str, sha256: str | None, filename: str | None) -> None:
        """Erase first, so that a crash leaves a row to begin from; again behind the tombstone, for what came since."""
        erase_objects(self._store, image_id)
        self._door.delete(image_id, sha256, filename)
        erase_objects(self._store, image_id)

    def _sweep_probes(self, now: datetime) -> None:
        """Erase what a door that died left of pictures that somebody only looked for others with."""
        for key in list(self._store.keys(f"original/{PROBE}")):
            try:
                modified = self._store.stat(key).modified
            except NotFound:
                continue
            if modified < now - PROBE_LASTS:
                image_id = key.removeprefix("original/").rpartition(".")[0]
                self._door.delete(image_id, probe=True)
                erase_objects(self._store, image_id)

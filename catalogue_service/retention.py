"""Erases expired pictures, by RETENTION_DAYS, and what is left of probes."""

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from catalogue_service.lease import WriterLease
from stageline.broker import status
from stageline.broker.dead_letters import DeadLetters
from stageline.broker.producer import Producer
from stageline.catalogue import Catalogue, clean, expiry
from stageline.core import clock, logs
from stageline.core.errors import NotFound, Unavailable
from stageline.core.settings import Settings
from stageline.maintenance.deletion import all_folders, erase_objects
from stageline.pipeline import results
from stageline.pipeline.message import FOLDERS, KEY, PROBE, id_of
from stageline.store import ObjectStore

SWEEP_SECONDS = 60.0
BATCH_SIZE = 1000
PROBE_LASTS = timedelta(hours=1)
PROBES_EVERY = timedelta(minutes=10)  # listing every folder costs something
MAX_REMEMBERED = 100_000
REMEMBERED_SECONDS = 600.0


class Retention(threading.Thread):
    """Sweeps once a minute while this process holds the writer's lease."""

    def __init__(self, catalogue: Catalogue, store: ObjectStore, lease: WriterLease, settings: Settings) -> None:
        super().__init__(name="retention", daemon=True)
        self._catalogue = catalogue
        self._store = store
        self._lease = lease
        self._settings = settings
        self._producer = Producer(settings.redis_url, settings.max_queue_size, settings.status_ttl)
        self._dead = DeadLetters(self._producer.client)
        self._erased = _Erased()
        self._probes_again: datetime | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Sweep until ended."""
        while not self._ended.wait(SWEEP_SECONDS):
            if not self._lease.is_held:
                continue
            try:
                self.sweep(clock.earlier())
            except Unavailable as error:
                logs.get().warning("nothing is erased for now", reason=str(error))
            except Exception:  # noqa: BLE001 - the next sweep tries again
                logs.get().exception("the sweep failed; it tries again")

    def end(self) -> None:
        """Stop sweeping."""
        self._ended.set()

    def sweep(self, now: datetime) -> None:
        """Erase what has expired at ``now``.

        Raises:
            Unavailable: Redis, the database or the bucket is away; the next sweep erases the rest.
        """
        if self._settings.retention_days:
            self._sweep_pictures(now)
        self._sweep_probes(now)
        expiry.forget_tombstones(self._catalogue.engine, now)

    def _sweep_pictures(self, now: datetime) -> None:
        """Erase all expired pictures except those that move; the writer removes their rows."""
        erased, after = 0, None
        while not self._ended.is_set() and self._lease.is_held:
            found = self._catalogue.expired(now, BATCH_SIZE, after)
            fresh = [picture for picture in found if not self._erased.has(picture["image_key"])]
            erased += self._erase_all(fresh)
            if len(found) < BATCH_SIZE:
                break
            after = (found[-1]["expires_at"], found[-1]["image_key"])
        if erased:
            logs.get().info("erased", pictures=erased, reason="RETENTION_DAYS")

    def _erase_all(self, pictures: Sequence[Mapping[str, Any]]) -> int:
        image_ids = [picture["image_key"] for picture in pictures]
        known = dict(zip(image_ids, status.read_all(self._producer.client, image_ids), strict=True))
        erased = 0
        for picture in pictures:
            live = known[picture["image_key"]]
            if self._ended.is_set() or (live is not None and live.get("status") in results.MOVING):
                continue
            self._erase(*(picture[name] for name in ("image_key", "sha256", "filename", "original_path")))
            erased += 1
        return erased

    def _erase(self, image_id: str, sha256: str | None, filename: str | None, original_path: str | None = None) -> None:
        """Erase before the tombstone, so that a crash leaves the row, and after it, for objects written meanwhile."""
        folders = all_folders(self._producer.client)
        erase_objects(self._store, image_id, original_path, folders)
        self._producer.delete(image_id, sha256, filename)
        self._dead.drop_of(image_id)
        erase_objects(self._store, image_id, original_path, folders)
        self._erased.add(image_id)

    def _sweep_probes(self, now: datetime) -> None:
        """Erase the probes, pictures sent only for a search, that a dead API process has left."""
        if self._probes_again is not None and now < self._probes_again:
            return
        self._probes_again = now + PROBES_EVERY
        keys = [key for folder in FOLDERS for key in self._store.keys(f"{folder}/{PROBE}") if KEY.fullmatch(key)]
        young = {id_of(key) for key in keys if not self._is_old(key, now)}
        for image_id in sorted({id_of(key) for key in keys} - young):
            self._producer.delete(image_id, probe=True)
            self._dead.drop_of(image_id)
            erase_objects(self._store, image_id, None, all_folders(self._producer.client))

    def _is_old(self, key: str, now: datetime) -> bool:
        """Whether a probe is old by the time in its id, or else by that of its object in the store."""
        try:
            made = clean.ulid_time(id_of(key).removeprefix(PROBE)) or self._store.stat(key).modified
        except NotFound:
            return True
        return made < now - PROBE_LASTS


class _Erased:
    """The pictures erased in the last minutes: their rows exist until the writer has removed them."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def add(self, image_id: str) -> None:
        """Remember an erased picture."""
        self._at.pop(image_id, None)
        self._at[image_id] = time.monotonic()
        if len(self._at) > MAX_REMEMBERED:
            del self._at[next(iter(self._at))]

    def has(self, image_id: str) -> bool:
        """Return whether a picture was erased lately."""
        return time.monotonic() - self._at.get(image_id, float("-inf")) < REMEMBERED_SECONDS

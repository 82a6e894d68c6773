"""Rebuilds the catalogue from the bucket: from all results, and the originals of pictures without results."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice

from sqlalchemy import Engine, delete, select

from stageline.catalogue import bulk, clean, documents
from stageline.catalogue.engine import reading, writing
from stageline.catalogue.outbox import OutboxEvent
from stageline.catalogue.tables import OF_A_PICTURE, image_info
from stageline.catalogue.writer import READERS, Writer
from stageline.core import logs
from stageline.core.errors import BadMessage, NotFound
from stageline.core.settings import Settings
from stageline.core.timestamps import iso
from stageline.pipeline import results
from stageline.pipeline.message import KEY, PROBE, id_of
from stageline.store import ObjectStore

BATCH_SIZE = 500
IsMoving = Callable[[Sequence[str]], Collection[str]]


@dataclass
class Rebuilt:
    """Counts of a rebuild: pictures with results, pictures with an original only, skipped ones, and removed ones."""

    results: int = 0
    originals: int = 0
    skipped: int = 0
    removed: int = 0


class Rebuilder:
    """One rebuild and its progress."""

    def __init__(self, engine: Engine, store: ObjectStore, settings: Settings, is_moving: IsMoving) -> None:
        self.done = Rebuilt()
        self._engine = engine
        self._store = store
        self._is_moving = is_moving
        self._writer = Writer(engine, store, settings.retention_days)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="rebuild")
        self._seen: set[str] = set()
        self._named: set[str] = set()  # originals that the document of another id names

    def run(self, report: Callable[[Rebuilt], None]) -> None:
        """Rebuild; call ``report`` with the counts after each batch."""
        before = _known(self._engine)  # read first: pictures added meanwhile are not removed
        for some in _some(_pictures(self._store, "results")):
            self._take([image_id for image_id, _ in some])
            report(self.done)
        fresh = (
            pair for pair in _pictures(self._store, "original")
            if pair[0] not in self._seen and pair[1] not in self._named
        )  # fmt: skip
        for some in _some(fresh):
            self._take_originals(some)
            report(self.done)
        strangers = sorted(before - self._seen)
        for begin in range(0, len(strangers), BATCH_SIZE):
            keys = strangers[begin : begin + BATCH_SIZE]
            moving = self._is_moving(keys)
            self.done.removed += _remove(self._engine, [key for key in keys if key not in moving])
        _remove_orphans(self._engine)
        report(self.done)

    def end(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._writer.close()

    def _take(self, image_ids: Sequence[str]) -> None:
        found = [each for each in self._pool.map(partial(_finished, self._store), image_ids) if each]
        self._seen.update(image_ids)
        for each in found:
            original = (each.document or {}).get("original_path")
            if isinstance(original, str) and id_of(original) != each.image_id:
                self._named.add(original)
        skipped = len(image_ids) - len(found) + self._apply(found)
        self.done.results += len(image_ids) - skipped
        self.done.skipped += skipped

    def _take_originals(self, some: Sequence[tuple[str, str]]) -> None:
        found = [each for each in self._pool.map(lambda pair: _begun(self._store, *pair), some) if each]
        self._seen.update(image_id for image_id, _ in some)
        self._apply([each for each in found if each.status == "submitted"])
        self._take([each.image_id for each in found if each.status != "submitted"])  # it has ended meanwhile
        self.done.originals += sum(each.status == "submitted" for each in found)

    def _apply(self, found: Sequence[OutboxEvent]) -> int:
        """Write the events, also back over later states unless Redis has the picture; return how many were skipped."""
        image_ids = [each.image_id for each in found]
        back = set(image_ids).difference(self._is_moving(image_ids))
        return self._writer.apply_events(found, back=back, is_read=True).skipped


def rebuild(
    engine: Engine, store: ObjectStore, settings: Settings, report: Callable[[Rebuilt], None] = lambda _: None,
    is_moving: IsMoving = lambda _: (),
) -> Rebuilt:  # fmt: skip
    """Write the rows of every picture in the bucket, and remove those of other pictures.

    The line may run meanwhile. ``is_moving`` returns which of some ids Redis has: their rows stay where they are later
    than the bucket. Tombstones stay too. A run that Redis does not have is lost: its picture returns to its state in
    the bucket.

    Raises:
        Unavailable: the database or the object store is away; a repeated rebuild continues.
    """
    work = Rebuilder(engine, store, settings, is_moving)
    try:
        work.run(report)
    finally:
        work.end()
    return work.done


def _known(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execution_options(yield_per=10_000).scalars(select(image_info.c.image_key)))


def _pictures(store: ObjectStore, folder: str) -> Iterator[tuple[str, str]]:
    """Yield the id and the key of each picture's object in a folder, without probes and foreign objects."""
    for key in store.keys(f"{folder}/"):
        if KEY.fullmatch(key) and not id_of(key).startswith(PROBE):
            yield id_of(key), key


def _some(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    source = iter(pairs)
    while some := list(islice(source, BATCH_SIZE)):
        yield some


def _finished(store: ObjectStore, image_id: str) -> OutboxEvent | None:
    """Return the event for the results of a picture; None where they are invalid or gone."""
    try:
        document = documents.read_results(store, image_id)
        at = document.get("updated_at") or document.get("completed_at")
        if clean.time(at) is None:  # foreign results
            at = iso(store.stat(results.key(image_id)).modified)
        fields = {name: document.get(name) for name in ("status", "run")}
        return OutboxEvent.of({"image_id": image_id, **fields, "at": at, "document": document})
    except (BadMessage, NotFound) as error:
        logs.get().warning("picture skipped", image_id=image_id, reason=str(error))
        return None


def _begun(store: ObjectStore, image_id: str, key: str) -> OutboxEvent | None:
    """Return the event for a picture with an original only: it moves, or its run was lost."""
    try:
        stored = store.stat(key).modified
    except NotFound:  # deleted meanwhile
        return None
    try:
        store.stat(results.key(image_id))
    except NotFound:
        uploaded_at = (clean.ulid_time(image_id) or stored).isoformat()
        document = {"image_id": image_id, "original_path": key, "filename": key.partition("/")[2]}
        document |= {"status": "submitted", "uploaded_at": uploaded_at}
        return OutboxEvent.of({"image_id": image_id, "status": "submitted", "at": iso(stored), "document": document})
    return OutboxEvent(image_id, "completed")


def _remove(engine: Engine, keys: Sequence[str]) -> int:
    with writing(engine) as connection:
        bulk.remove(connection, OF_A_PICTURE, keys)
    return len(keys)


def _remove_orphans(engine: Engine) -> None:
    """Remove rows whose picture was removed by hand."""
    for table in OF_A_PICTURE:
        if table is not image_info:
            with writing(engine) as connection:
                known = select(image_info.c.image_key).where(image_info.c.image_key == table.c.image_key)
                connection.execute(delete(table).where(~known.exists()))

"""The catalogue from the bucket alone: from every picture's results, and the originals of those that have none yet."""

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

AT_ONCE = 500
IsMoving = Callable[[Sequence[str]], Collection[str]]


@dataclass
class Rebuilt:
    """What came of it: pictures with results, pictures of which only the original is there, and rows removed."""

    results: int = 0
    originals: int = 0
    skipped: int = 0
    removed: int = 0


class Rebuilder:
    """One rebuilding, and what it has seen so far."""

    def __init__(self, engine: Engine, store: ObjectStore, settings: Settings, is_moving: IsMoving) -> None:
        self.done = Rebuilt()
        self._engine = engine
        self._store = store
        self._is_moving = is_moving
        self._writer = Writer(engine, store, settings.retention_days)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="rebuild")
        self._seen: set[str] = set()
        self._named: set[str] = set()  # originals that a document names, of pictures of another id

    def run(self, tell: Callable[[Rebuilt], None]) -> None:
        """Do it."""
        before = _known(self._engine)  # first: what comes while we look is no stranger
        for some in _some(_pictures(self._store, "results")):
            self._take([image_id for image_id, _ in some])
            tell(self.done)
        fresh = (
            pair for pair in _pictures(self._store, "original")
            if pair[0] not in self._seen and pair[1] not in self._named
        )  # fmt: skip
        for some in _some(fresh):
            self._take_originals(some)
            tell(self.done)
        strangers = sorted(before - self._seen)
        for begin in range(0, len(strangers), AT_ONCE):
            keys = strangers[begin : begin + AT_ONCE]
            moving = self._is_moving(keys)
            self.done.removed += _remove(self._engine, [key for key in keys if key not in moving])
        _remove_orphans(self._engine)
        tell(self.done)

    def end(self) -> None:
        """Let the threads go."""
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
        self._take([each.image_id for each in found if each.status != "submitted"])  # it came to its end meanwhile
        self.done.originals += sum(each.status == "submitted" for each in found)

    def _apply(self, found: Sequence[OutboxEvent]) -> int:
        """Write, also over what is further, unless Redis knows the picture; return how many were no good."""
        image_ids = [each.image_id for each in found]
        back = set(image_ids).difference(self._is_moving(image_ids))
        return self._writer.apply_events(found, back=back, is_read=True).skipped


def rebuild(
    engine: Engine, store: ObjectStore, settings: Settings, tell: Callable[[Rebuilt], None] = lambda _: None,
    is_moving: IsMoving = lambda _: (),
) -> Rebuilt:  # fmt: skip
    """Make the rows of every picture in the bucket, and remove those of pictures that it does not have.

    The line may run meanwhile: rows that are further than the bucket stay where ``is_moving``, which is asked for some
    ids at a time, says that Redis knows the picture; and so do deleted pictures' tombstones. A run of which Redis knows
    nothing was lost: its picture goes back to what the bucket says of it.

    Raises:
        Unavailable: the database or the object store is away; to be repeated, what was done stays.
    """
    work = Rebuilder(engine, store, settings, is_moving)
    try:
        work.run(tell)
    finally:
        work.end()
    return work.done


def _known(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execution_options(yield_per=10_000).scalars(select(image_info.c.image_key)))


def _pictures(store: ObjectStore, folder: str) -> Iterator[tuple[str, str]]:
    """The id and the key of each picture's object in a folder; without what nobody uploaded."""
    for key in store.keys(f"{folder}/"):
        if KEY.fullmatch(key) and not id_of(key).startswith(PROBE):
            yield id_of(key), key


def _some(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    source = iter(pairs)
    while some := list(islice(source, AT_ONCE)):
        yield some


def _finished(store: ObjectStore, image_id: str) -> OutboxEvent | None:
    """The outcome that the results of a picture tell of."""
    try:
        document = documents.read_results(store, image_id)
        at = document.get("updated_at") or document.get("completed_at")
        if clean.time(at) is None:  # a foreign one
            at = iso(store.stat(results.key(image_id)).modified)
        told = {name: document.get(name) for name in ("status", "run")}
        return OutboxEvent.of({"image_id": image_id, **told, "at": at, "document": document})
    except (BadMessage, NotFound) as error:
        logs.get().warning("picture skipped", image_id=image_id, reason=str(error))
        return None


def _begun(store: ObjectStore, image_id: str, key: str) -> OutboxEvent | None:
    """A picture of which nothing is known but its original: it is on its way, or was forgotten."""
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
    """Remove rows whose picture somebody removed by hand."""
    for table in OF_A_PICTURE:
        if table is not image_info:
            with writing(engine) as connection:
                known = select(image_info.c.image_key).where(image_info.c.image_key == table.c.image_key)
                connection.execute(delete(table).where(~known.exists()))

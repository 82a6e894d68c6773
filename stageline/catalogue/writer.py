"""Applies batches of outbox events to the catalogue, each in one transaction. Repeating a batch changes nothing."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, Engine, select, text

from stageline.catalogue import bulk, documents, vector
from stageline.catalogue.engine import writing
from stageline.catalogue.history import RANKS
from stageline.catalogue.outbox import WITH_DOCUMENT, OutboxEvent, PictureChange, Step
from stageline.catalogue.rows import Row, rows_of
from stageline.catalogue.tables import (
    OF_A_PICTURE,
    deleted_images,
    faces,
    image_info,
    prediction_results,
    task_history,
    tasks,
)
from stageline.core import logs
from stageline.core.errors import BadMessage, NotFound, Unavailable
from stageline.pipeline.message import PROBE
from stageline.store import ObjectStore

LOCK = 0x57A6E11D  # a PostgreSQL advisory lock: two writers take turns
READERS = 8
MAX_ROWS = 50_000  # about, in memory; a hundred times those of a usual batch


@dataclass(frozen=True)
class Applied:
    """Counts of a batch: events that changed rows, that were old or repeated, and that were invalid."""

    changed: int = 0
    old: int = 0
    skipped: int = 0

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(self.changed + other.changed, self.old + other.old, self.skipped + other.skipped)


class Writer:
    """Writes to the catalogue. Several writers are safe, one is enough."""

    def __init__(self, engine: Engine, store: ObjectStore, retention_days: int) -> None:
        self._engine = engine
        self._store = store
        self._days = retention_days
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="documents")

    def apply(self, raw: Sequence[bytes]) -> Applied:
        """Apply raw events from the list.

        An invalid event is logged and skipped; it does not block others.

        Raises:
            Unavailable: the database or the object store is away: nothing was applied, try again.
        """
        return self.apply_events([event for event in map(_decoded, raw) if event is not None], len(raw))

    def apply_events(
        self,
        found: Sequence[OutboxEvent],
        given: int | None = None,
        *,
        back: Collection[str] = (),
        is_read: bool = False,
    ) -> Applied:
        """Apply events; see `apply`.

        Args:
            found: the events.
            given: their number together with the invalid ones.
            back: the pictures that these events may also move back.
            is_read: whether the documents of the events come from the bucket.

        Raises:
            Unavailable: the database or the object store is away: not all was applied, try again.
        """
        kept = [event for event in found if not event.image_id.startswith(PROBE)]
        applied, count, steps, rows = Applied(), 0, list[Step](), 0
        for step in self._steps(kept, is_read=is_read):
            steps.append(step)
            rows += step.rows.count if step.rows else 1
            if rows >= MAX_ROWS:  # only hostile documents have so many; ours are written in one transaction
                applied, count = applied + self._write(steps, back), count + len(steps)
                steps, rows = [], 0
        applied, count = applied + self._write(steps, back), count + len(steps)
        return applied + Applied(skipped=(len(found) if given is None else given) - count)

    def _steps(self, events: Sequence[OutboxEvent], *, is_read: bool) -> Iterator[Step]:
        """Yield the steps of the events in order; the bucket is read a few steps ahead."""
        ahead: deque[Callable[[], Step | None]] = deque()
        for event in events:
            read = partial(self._read, event, is_read=is_read)
            ahead.append(self._pool.submit(read).result if _needs_bucket(event) else read)
            if len(ahead) > READERS:
                yield from filter(None, [ahead.popleft()()])
        for left in ahead:
            yield from filter(None, [left()])

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, event: OutboxEvent, *, is_read: bool) -> Step | None:
        """Make the rows of an event, with its document and embeddings from the bucket where needed."""
        document, is_from_bucket = event.document, is_read
        if event.status not in WITH_DOCUMENT:
            return Step(event)
        try:
            if document is None and RANKS[event.status] > 0:
                document, is_from_bucket = documents.read_results(self._store, event.image_id), True
            if document is None:
                return Step(event)
            fields = {"status": event.status, "run": event.run, **document, "image_id": event.image_id}
            embeddings = documents.read_embeddings(self._store, document, event.image_id)
            return Step(event, rows_of(fields, embeddings, self._days), is_from_bucket)
        except Unavailable:
            raise
        except (BadMessage, NotFound) as error:
            _skip(event, str(error))
        except Exception:  # noqa: BLE001 - one document must not stop the others
            logs.get().exception("outbox event skipped", image_id=event.image_id, status=event.status)
        return None

    def _write(self, steps: Sequence[Step], back: Collection[str]) -> Applied:
        """Write in one transaction; if the database refuses a value, split in halves down to the refused step."""
        if not steps:
            return Applied()
        try:
            with writing(self._engine) as connection:
                changed = self._in_transaction(connection, steps, back)
            return Applied(changed, len(steps) - changed)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one value must not stop the others
            if len(steps) == 1:
                logs.get().exception("outbox event skipped", image_id=steps[0].event.image_id, reason=str(error)[:300])
                return Applied(skipped=1)
        middle = len(steps) // 2
        return self._write(steps[:middle], back) + self._write(steps[middle:], back)

    def _in_transaction(self, connection: Connection, steps: Sequence[Step], back: Collection[str]) -> int:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        by_picture: dict[str, list[Step]] = {}
        for step in steps:
            by_picture.setdefault(step.event.image_id, []).append(step)
        pictures = _load(connection, list(by_picture), [key for key, own in by_picture.items() if _moves(own)])
        changed = sum(pictures[key].take(own, self._days, back=key in back) for key, own in by_picture.items())
        _store(connection, {key: picture for key, picture in pictures.items() if picture.is_changed})
        return changed


def _decoded(raw: bytes) -> OutboxEvent | None:
    try:
        return OutboxEvent.decode(raw)
    except BadMessage as error:
        logs.get().warning("outbox event skipped", reason=str(error))
        return None


def _needs_bucket(event: OutboxEvent) -> bool:
    if event.status not in WITH_DOCUMENT:
        return False
    if event.document is None:
        return RANKS[event.status] > 0
    return documents.wants_embeddings(event.document, event.image_id)


def _skip(event: OutboxEvent, reason: str) -> None:
    logs.get().warning("outbox event skipped", image_id=event.image_id, status=event.status, reason=reason)


def _moves(steps: Iterable[Step]) -> bool:
    return any(step.rows is None or step.rows.image["rank"] == 0 for step in steps)


def _load(connection: Connection, keys: Sequence[str], moving: Sequence[str]) -> dict[str, PictureChange]:
    """Read the current rows of pictures; their tasks only where these are not rewritten."""
    pictures = {key: PictureChange() for key in keys}
    for row in connection.execute(select(image_info).where(image_info.c.image_key.in_(keys))).mappings():
        pictures[row["image_key"]].image = dict(row)
    deleted = select(deleted_images).where(deleted_images.c.image_key.in_(keys))
    for key, deleted_at in connection.execute(deleted):
        pictures[key].deleted_at = deleted_at
    if moving:
        for row in connection.execute(select(tasks).where(tasks.c.image_key.in_(moving))).mappings():
            pictures[row["image_key"]].tasks[row["run"]] = dict(row)
    return pictures


def _store(connection: Connection, pictures: dict[str, PictureChange]) -> None:
    rewritten = [key for key, picture in pictures.items() if picture.whole or not picture.image]
    bulk.remove(connection, OF_A_PICTURE, rewritten)
    updated = [key for key, picture in pictures.items() if picture.image and not picture.whole]
    bulk.remove(connection, (image_info, tasks), updated)
    left = [picture for picture in pictures.values() if picture.image]
    bulk.add(connection, image_info, [picture.image for picture in left if picture.image])
    bulk.add(connection, tasks, [task for picture in left for task in picture.tasks.values()])
    whole = [picture.whole for picture in left if picture.whole]
    bulk.add(connection, prediction_results, [row for rows in whole for row in rows.predictions])
    bulk.add(connection, task_history, [row for rows in whole for row in rows.history])
    found_faces = [row for rows in whole for row in rows.faces]
    bulk.add(connection, faces, found_faces)
    _index_faces(connection, [face for face in found_faces if face["embedding"]])
    gone = {key: picture.deleted_at for key, picture in pictures.items() if picture.deleted_at}
    bulk.remove(connection, (deleted_images,), list(gone))
    bulk.add(connection, deleted_images, [{"image_key": key, "deleted_at": at} for key, at in gone.items()])


def _index_faces(connection: Connection, embedded: Sequence[Row]) -> None:
    """Fill pgvector's column if there is one."""
    if embedded and vector.is_there(connection):
        rows = [
            {"image_key": face["image_key"], "position": face["position"], "vector": vector.literal(face["embedding"])}
            for face in embedded
        ]
        connection.execute(text(vector.FILL), rows)

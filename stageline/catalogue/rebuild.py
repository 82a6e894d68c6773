"""The catalogue from the bucket alone: from every picture's results, and the originals of those that have none yet."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Engine, delete, select

from stageline import logs
from stageline.catalogue import bulk, clean, documents
from stageline.catalogue.engine import reading, writing
from stageline.catalogue.outcomes import Outcome
from stageline.catalogue.tables import OF_A_PICTURE, image_info
from stageline.catalogue.writer import PROBE, READERS, Writer
from stageline.errors import BadMessage, NotFound
from stageline.message import KEY
from stageline.settings import Settings
from stageline.store import ObjectStore

AT_ONCE = 500


@dataclass
class Rebuilt:
    """What came of it: pictures with results, pictures of which only the original is there, and rows removed."""

    results: int = 0
    originals: int = 0
    skipped: int = 0
    removed: int = 0


def rebuild(
    engine: Engine, store: ObjectStore, settings: Settings, tell: Callable[[Rebuilt], None] = lambda _: None
) -> Rebuilt:
    """Make the rows of every picture in the bucket, and remove those of pictures that it does not have.

    The line may run meanwhile: rows of a later run than the bucket knows stay, and so do deleted pictures' tombstones.

    Raises:
        Unavailable: the database or the object store is away; to be repeated, what was done stays.
    """
    before = _known(engine)  # first: what comes while we look is no stranger
    done, seen = Rebuilt(), set[str]()
    writer = Writer(engine, store, settings.retention_days)
    try:
        with ThreadPoolExecutor(READERS, thread_name_prefix="rebuild") as pool:
            for some in _some(_pictures(store, "results")):
                found = [each for each in pool.map(lambda pair: _finished(store, pair[0]), some) if each]
                skipped = writer.apply_outcomes(found, len(some), again=True).skipped
                seen.update(image_id for image_id, _ in some)
                done.results += len(some) - skipped
                done.skipped += skipped
                tell(done)
            fresh = (pair for pair in _pictures(store, "original") if pair[0] not in seen)
            for some in _some(fresh):
                seen.update(image_id for image_id, _ in some)
                writer.apply_outcomes([each for each in pool.map(lambda pair: _begun(store, *pair), some) if each])
                done.originals += len(some)
                tell(done)
        done.removed = _remove(engine, before - seen)
    finally:
        writer.close()
    tell(done)
    return done


def _known(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execution_options(yield_per=10_000).scalars(select(image_info.c.image_key)))


def _pictures(store: ObjectStore, folder: str) -> Iterator[tuple[str, str]]:
    """The id and the key of each picture's object in a folder; without what nobody uploaded."""
    for key in store.keys(f"{folder}/"):
        image_id = key.removeprefix(f"{folder}/").rpartition(".")[0]
        if KEY.fullmatch(key) and not image_id.startswith(PROBE):
            yield image_id, key


def _some(pairs: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    source = iter(pairs)
    while some := list(islice(source, AT_ONCE)):
        yield some


def _finished(store: ObjectStore, image_id: str) -> Outcome | None:
    """The outcome that the results of a picture tell of."""
    try:
        document = documents.read_results(store, image_id)
        return Outcome.of({"image_id": image_id, **_place(document), "document": document})
    except (BadMessage, NotFound) as error:
        logs.get().warning("picture skipped", image_id=image_id, reason=str(error))
        return None


def _place(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document.get(name) for name in ("status", "run")}


def _begun(store: ObjectStore, image_id: str, key: str) -> Outcome | None:
    """A picture of which nothing is known but its original: it is on its way, or was forgotten."""
    try:
        uploaded_at = clean.ulid_time(image_id) or store.stat(key).modified
    except NotFound:  # deleted meanwhile
        return None
    document = {"image_id": image_id, "original_path": key, "filename": key.partition("/")[2], "status": "submitted"}
    document["uploaded_at"] = uploaded_at.isoformat()
    return Outcome.of({"image_id": image_id, "status": "submitted", "document": document})


def _remove(engine: Engine, strangers: set[str]) -> int:
    keys = sorted(strangers)
    for begin in range(0, len(keys), AT_ONCE):
        with writing(engine) as connection:
            bulk.remove(connection, OF_A_PICTURE, keys[begin : begin + AT_ONCE])
    for table in OF_A_PICTURE:
        if table is not image_info:  # rows whose picture somebody removed by hand
            with writing(engine) as connection:
                known = select(image_info.c.image_key).where(image_info.c.image_key == table.c.image_key)
                connection.execute(delete(table).where(~known.exists()))
    return len(keys)

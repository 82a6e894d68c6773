"""Finds pictures that were stored and then lost, as when Redis lost its data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from stageline.broker import status
from stageline.broker.producer import Producer
from stageline.catalogue import Catalogue
from stageline.catalogue.documents import read_results
from stageline.core import logs, timestamps
from stageline.core.errors import BadMessage, NotFound, Unavailable
from stageline.core.timestamps import iso
from stageline.pipeline import line, rerun
from stageline.pipeline.message import KEY, PROBE, Message, id_of
from stageline.store import ObjectStore

BATCH_SIZE = 500
# The names of these fields in a message and in the catalogue.
ROW_FIELDS = (("filename", "filename"), ("filename_guessed", "filename_guessed"), ("file_size", "bytes"),
    ("sha256", "sha256"), ("batch_id", "batch_id"), ("origin_w", "width"), ("origin_h", "height"))  # fmt: skip


def lost_pictures(store: ObjectStore, producer: Producer, catalogue: Catalogue | None = None) -> Iterator[Message]:
    """Yield a message, ready to queue, for each original that has neither a status nor results.

    The message has the fields that the catalogue knows, if the catalogue can be reached. An original that is named in
    the results of another picture belongs to that picture, and is not lost.

    Raises:
        Unavailable: Redis or the object store cannot be reached.
    """
    finished = {id_of(key) for key in store.keys("results/")}
    originals = [key for key in store.keys("original/") if _is_one(key)]
    named: set[str] | None = None
    for keys in _batches(key for key in originals if id_of(key) not in finished):
        known = status.read_all(producer.client, [id_of(key) for key in keys])
        lost = [key for key, live in zip(keys, known, strict=True) if live is None]
        if lost and named is None:
            named = set(_named(store, finished - {id_of(key) for key in originals}))
        rows = _rows(catalogue, [id_of(key) for key in lost])
        if rows is None:
            catalogue, rows = None, {}
        for key in lost:
            if key not in (named or ()):
                yield _message(key, rows.get(id_of(key), {}))


def _is_one(key: str) -> bool:
    if KEY.fullmatch(key):
        return not id_of(key).startswith(PROBE)
    logs.get().warning("skipped", key=key, reason="this name is no picture's key: rename it to <id>.<ending>")
    return False


def _named(store: ObjectStore, image_ids: Iterable[str]) -> Iterator[str]:
    for image_id in image_ids:
        try:
            yield str(read_results(store, image_id).get("original_path"))
        except (NotFound, BadMessage) as error:
            logs.get().warning("skipped", image_id=image_id, reason=str(error))


def _rows(catalogue: Catalogue | None, image_ids: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """Return the catalogue's rows of these pictures; None when it does not answer, so that it is not asked again."""
    try:
        return catalogue.rows(image_ids) if catalogue and image_ids else {}
    except Unavailable as error:
        logs.get().warning("only the originals are known", reason=str(error))
        return None


def _message(key: str, row: Mapping[str, Any]) -> Message:
    """Return the message that sends a lost picture down the line from the first stage, within the catalogue's run."""
    known = {name: row[column] for name, column in ROW_FIELDS if row.get(column)}
    uploaded_at = iso(row["uploaded_at"]) if row else timestamps.now()
    run = row.get("run", 1)
    began = rerun.first_run(uploaded_at)
    if run > 1:
        began = {"run": run, "runs": [{"run": run, "from": line.LINE[0].name, "created_at": timestamps.now()}]}
    fields = {"image_id": id_of(key), "filename": key.partition("/")[2], "original_path": key, "attempt": 1}
    return Message.of({**fields, **known, **({"uploaded_at": uploaded_at} if row else {}), **began})


def _batches(keys: Iterable[str]) -> Iterator[list[str]]:
    source = iter(keys)
    while batch := list(islice(source, BATCH_SIZE)):
        yield batch

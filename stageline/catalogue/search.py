"""Finds the nearest faces: by pgvector's index if the database has it, else by reading all faces in batches."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select, tuple_

from stageline.catalogue import vector
from stageline.catalogue.tables import EMBEDDING_SIZE, faces, image_info
from stageline.pipeline.filenames import name_fields

BATCH_SIZE = 4096  # faces in memory: 8 MiB
Found = tuple[float, str, int]


def nearest(
    connection: Connection, embedding: NDArray[np.float32], limit: int, model: str | None = None
) -> list[dict[str, Any]]:
    """List the most similar faces, nearest first; see `Catalogue.nearest_faces`.

    Raises:
        ValueError: the embedding is invalid.
    """
    wanted = np.asarray(embedding, dtype=np.float32).reshape(-1)
    if wanted.size != EMBEDDING_SIZE or not np.isfinite(wanted).all() or not wanted.any():
        raise ValueError(f"an embedding is {EMBEDDING_SIZE} finite numbers, not all 0")
    if vector.is_there(connection):
        return _indexed(connection, wanted, limit, model)
    unit = wanted / np.linalg.norm(wanted)
    best: list[Found] = []
    for keys, matrix in _chunks(connection, model):
        lengths = np.linalg.norm(matrix, axis=1)
        similar = np.divide(matrix @ unit, lengths, out=np.full(len(keys), -1.0, np.float32), where=lengths > 0)
        few = np.argpartition(-similar, limit - 1)[:limit] if len(keys) > limit else np.arange(len(keys))
        found = [(float(similar[place]), *keys[place]) for place in few.tolist()]
        best = heapq.nsmallest(limit, [*best, *found], key=lambda each: (-each[0], each[1], each[2]))
    return _described(connection, best)


def _chunks(connection: Connection, model: str | None) -> Iterator[tuple[list[tuple[str, int]], NDArray[np.float32]]]:
    """Read all embeddings in batches, which bounds the memory."""
    query = select(faces.c.image_key, faces.c.position, faces.c.embedding).where(faces.c.embedding.is_not(None))
    if model is not None:
        query = query.where(faces.c.embedding_model == model)
    rows = connection.execution_options(yield_per=BATCH_SIZE).execute(query)
    for some in rows.partitions():
        good = [(row[0], row[1], bytes(row[2])) for row in some if len(row[2]) == 4 * EMBEDDING_SIZE]
        if good:
            matrix = np.frombuffer(b"".join(row[2] for row in good), "<f4").reshape(-1, EMBEDDING_SIZE)
            yield [(row[0], row[1]) for row in good], matrix.astype(np.float32, copy=False)


def _described(connection: Connection, best: Sequence[Found]) -> list[dict[str, Any]]:
    if not best:
        return []
    places = [(key, position) for _, key, position in best]
    described = ("filename", "filename_guessed", "width", "height")
    columns = [faces.c[name] for name in ("image_key", "position", "box")] + [image_info.c[name] for name in described]
    query = select(*columns).join(image_info, image_info.c.image_key == faces.c.image_key)
    query = query.where(tuple_(faces.c.image_key, faces.c.position).in_(places))
    known = {(row.image_key, row.position): row for row in connection.execute(query)}
    return [_face(known[key, position], similarity) for similarity, key, position in best if (key, position) in known]


def _indexed(
    connection: Connection, wanted: NDArray[np.float32], limit: int, model: str | None
) -> list[dict[str, Any]]:
    rows = vector.nearest(connection, wanted.astype("<f4").tobytes(), limit, model)
    return [_face(row, float(row.similarity)) for row in rows]


def _face(row: Any, similarity: float) -> dict[str, Any]:
    face = {"width": row.width, "height": row.height, "face": row.position, "box": row.box}
    names = {"image_id": row.image_key, **name_fields(row.filename, row.filename_guessed)}
    return {**names, **face, "similarity": round(min(1.0, max(-1.0, similarity)), 6)}

"""An index of the faces' embeddings by pgvector, if the PostgreSQL server has it; else searches read every face.

It is no migration, since a server may get the extension at any time: each start checks again.
"""

from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Result, text

from stageline.catalogue.engine import writing
from stageline.catalogue.tables import EMBEDDING_SIZE
from stageline.core import logs
from stageline.core.errors import Unavailable

STEPS = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    f"ALTER TABLE faces ADD COLUMN IF NOT EXISTS embedding_vector vector({EMBEDDING_SIZE})",
    "CREATE INDEX IF NOT EXISTS ix_faces_embedding_vector ON faces USING hnsw (embedding_vector vector_cosine_ops)",
)
AVAILABLE = "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'"
HAS_COLUMN = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'faces'::regclass AND attname = 'embedding_vector'"
LACKING = """SELECT image_key, position, embedding FROM faces
    WHERE embedding IS NOT NULL AND embedding_vector IS NULL AND length(embedding) = :bytes LIMIT 1000"""
FILL = (
    "UPDATE faces SET embedding_vector = CAST(:vector AS vector) WHERE image_key = :image_key AND position = :position"
)
NEAREST = """SELECT f.image_key, f.position, f.box, i.filename, i.filename_guessed, i.width, i.height,
        1 - (f.embedding_vector <=> CAST(:wanted AS vector)) AS similarity
    FROM faces f JOIN image_info i USING (image_key)
    WHERE f.embedding_vector IS NOT NULL AND (CAST(:model AS text) IS NULL OR f.embedding_model = :model)
    ORDER BY f.embedding_vector <=> CAST(:wanted AS vector) LIMIT :most"""

LOOKED_AT = "SELECT set_config('hnsw.ef_search', :faces, true)"  # for this transaction
MIN_LOOKED_AT, MAX_LOOKED_AT = 40, 1000  # pgvector's own default and bound
OF_ALL_MODELS = 10  # times as many faces: those of other models are removed after the index is read


def prepare(engine: Engine) -> bool:
    """Create the column and its index if the server can; return whether they exist.

    Raises:
        Unavailable: the database is away.
    """
    with writing(engine) as connection:
        if not connection.scalar(text(AVAILABLE)):
            return False
    try:
        with writing(engine) as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            for step in STEPS:
                connection.execute(text(step))
        while _fill(engine):
            pass
    except Unavailable as error:  # or this user may not create extensions
        logs.get().warning("no index of faces", reason=str(error), instead="each search looks at every face")
        return False
    return True


def is_there(connection: Connection) -> bool:
    """Return whether this database has the column."""
    return connection.dialect.name == "postgresql" and bool(connection.scalar(text(HAS_COLUMN)))


def nearest(connection: Connection, embedding: bytes, limit: int, model: str | None) -> Result[Any]:
    """Query the index for the nearest faces; it returns no more than it has examined."""
    connection.execute(text(LOOKED_AT), {"faces": str(looked_at(limit, model))})
    return connection.execute(text(NEAREST), {"wanted": literal(embedding), "most": limit, "model": model})


def looked_at(limit: int, model: str | None) -> int:
    """Return how many faces the index must examine to find ``limit`` of them."""
    return max(MIN_LOOKED_AT, min(limit * (OF_ALL_MODELS if model else 1), MAX_LOOKED_AT))


def literal(embedding: bytes) -> str:
    """Return an embedding in pgvector's text form."""
    return "[" + ",".join(map(repr, np.frombuffer(embedding, "<f4").astype(float).tolist())) + "]"


def _fill(engine: Engine) -> int:
    """Fill the empty column of some faces; return their number."""
    with writing(engine) as connection:
        found = connection.execute(text(LACKING), {"bytes": 4 * EMBEDDING_SIZE}).all()
        if found:
            rows = [{"image_key": row[0], "position": row[1], "vector": literal(bytes(row[2]))} for row in found]
            connection.execute(text(FILL), rows)
        return len(found)

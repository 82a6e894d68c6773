"""Adds the missing lookup keys of names that an older version wrote."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, select, text

from stageline.catalogue.engine import writing
from stageline.catalogue.tables import LACKS_KEY, image_info
from stageline.pipeline.filenames import lookup_key

BATCH_SIZE = 5000
FILL_POSTGRESQL = """UPDATE image_info SET filename_key = found.filename_key
    FROM unnest(CAST(:image_keys AS text[]), CAST(:filenames AS text[]), CAST(:filename_keys AS text[]))
        AS found(image_key, filename, filename_key)
    WHERE image_info.image_key = found.image_key AND image_info.filename = found.filename"""
FILL_SQLITE = "UPDATE image_info SET filename_key = :filename_key WHERE image_key = :image_key AND filename = :filename"


def fill(engine: Engine) -> None:
    """Give every row with a name and no key its key, in batches; may be repeated, also in parallel.

    Raises:
        Unavailable: the database is away.
    """
    after = ""
    while True:
        with writing(engine) as connection:
            found = _lacking(connection, after)
            if not found:
                return
            _write(connection, found)
        after = found[-1][0]


def _lacking(connection: Connection, after: str) -> Sequence[tuple[str, str]]:
    key = image_info.c.image_key
    lacking = select(key, image_info.c.filename).where(LACKS_KEY, key > after)
    return [(row[0], row[1]) for row in connection.execute(lacking.order_by(key).limit(BATCH_SIZE))]


def _write(connection: Connection, found: Sequence[tuple[str, str]]) -> None:
    rows = [{"image_key": key, "filename": name, "filename_key": lookup_key(name)} for key, name in found]
    if connection.dialect.name != "postgresql":
        connection.execute(text(FILL_SQLITE), rows)
        return
    columns = {f"{name}s": [row[name] for row in rows] for name in rows[0]}
    connection.execute(text(FILL_POSTGRESQL), columns)

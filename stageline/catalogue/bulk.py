"""Writes many rows at once: by COPY in PostgreSQL, by one prepared statement in SQLite."""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, delete, insert

from stageline.catalogue.rows import Row

BATCH_SIZE = 5000  # keys in one statement
NULL = "\\N"


def remove(connection: Connection, tables: Iterable[Table], keys: Sequence[str]) -> None:
    """Remove the rows of these pictures."""
    for begin in range(0, len(keys), BATCH_SIZE):
        some = keys[begin : begin + BATCH_SIZE]
        for table in tables:
            connection.execute(delete(table).where(table.c.image_key.in_(some)))


def add(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add new rows; each has a value for every column of the table."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(insert(table), rows)
        return
    names = list(table.c.keys())
    values = itemgetter(*names)
    lines = io.StringIO("".join(["\t".join([FIELDS[type(each)](each) for each in values(row)]) + "\n" for row in rows]))
    columns = ", ".join(f'"{name}"' for name in names)
    raw: Any = connection.connection.cursor()
    with raw as cursor:
        cursor.copy_expert(f'COPY "{table.name}" ({columns}) FROM STDIN', lines)


def _escaped(value: str) -> str:
    if not value.isprintable() or "\\" in value:  # rare
        value = value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return value


def _listed(value: list[Any]) -> str:
    written = str(value)
    return _escaped(json.dumps(value)) if "'" in written or '"' in written else written  # a list of numbers is JSON


FIELDS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: NULL,
    str: _escaped,
    int: str,
    bool: str,
    float: repr,
    bytes: lambda value: f"\\\\x{value.hex()}",
    datetime: datetime.isoformat,
    list: _listed,
}

"""Connects to the catalogue's database: PostgreSQL if DATABASE_URL names one, else a SQLite file."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, StatementError

from stageline.core.errors import SettingsError, Unavailable
from stageline.core.settings import Settings

CONNECT_SECONDS = 3
ANSWER_SECONDS = 10.0  # for one statement
FILE = "catalogue.sqlite3"
WRITES = "stageline_writes"  # our option: the transaction takes SQLite's write lock at its beginning
BAD_VALUE = ("22", "23", "54")  # PostgreSQL's error classes for invalid data
NO_TABLE = ("42P01", "42703")
NOT_MIGRATED = "its tables are not there, or older than this version: catalogue_service makes them at its start"


def database_url(settings: Settings) -> URL:
    """Return the database in the settings.

    Raises:
        SettingsError: DATABASE_URL is no valid address.
    """
    if settings.database_url is None:
        return URL.create("sqlite+pysqlite", database=str(settings.stageline_data.absolute() / FILE))
    try:
        url = make_url(settings.database_url)
    except (ArgumentError, ValueError):  # their texts may hold a piece of the password
        sentence = "DATABASE_URL: give postgresql://user:password@host:port/database, or sqlite:///file"
        raise SettingsError(sentence) from None
    return url.set(drivername="sqlite+pysqlite" if url.drivername == "sqlite" else "postgresql+psycopg2")


def open_engine(settings: Settings, answer_seconds: float = ANSWER_SECONDS) -> Engine:
    """Return the catalogue's engine, which connects at its first use; a statement may run ``answer_seconds``."""
    url = database_url(settings)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, answer_seconds)
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=settings.door_threads,
        max_overflow=settings.door_threads,
        pool_timeout=CONNECT_SECONDS,
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "stageline",
            "keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3,
            "tcp_user_timeout": 1000 * int(answer_seconds),
        },
    )  # fmt: skip

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.autocommit = True
        with connection.cursor() as cursor:  # compiling our short queries takes longer than running them
            cursor.execute(f"SET statement_timeout = {int(1000 * answer_seconds)}; SET timezone = 'UTC'; SET jit = off")
        connection.autocommit = False

    return engine


def _sqlite(url: URL, answer_seconds: float) -> Engine:
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "do_connect")
    def make_folder(*_: object) -> None:
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # transactions begin explicitly, see below
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * answer_seconds)}")
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(WRITES) else "BEGIN")

    return engine


@contextlib.contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a writing transaction: committed at the end, rolled back on any error."""
    with reaching_database(), engine.execution_options(**{WRITES: True}).begin() as connection:
        yield connection


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a reading transaction."""
    with reaching_database(), engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def reaching_database() -> Iterator[None]:
    """Turn errors of a database that is away into Unavailable; errors of invalid data stay."""
    try:
        yield
    except SQLAlchemyError as error:
        if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
            raise  # an invalid value from our code
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        if is_bad_value(cause):
            raise
        raise Unavailable(_sentence(cause)) from error
    except OSError as error:
        raise Unavailable(_sentence(error)) from error
    except Exception as error:
        if not type(error).__module__.startswith("psycopg2") or is_bad_value(error):
            raise
        raise Unavailable(_sentence(error)) from error


def is_bad_value(error: BaseException) -> bool:
    """Return whether the data is invalid, so that no retry can help."""
    if isinstance(error, sqlite3.DataError | sqlite3.IntegrityError):
        return True
    return str(getattr(error, "pgcode", None) or "")[:2] in BAD_VALUE


def check(engine: Engine) -> None:
    """Reach the database.

    Raises:
        Unavailable: the database is away.
    """
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))


def _sentence(cause: BaseException) -> str:
    cause_text = " ".join(str(cause).split())[:300]
    if getattr(cause, "pgcode", None) in NO_TABLE or cause_text.startswith(("no such table", "no such column")):
        return f"the catalogue is not ready (DATABASE_URL): {NOT_MIGRATED}"
    return f"the catalogue's database does not answer (DATABASE_URL): {cause_text or type(cause).__name__}"

"""Migrates the database to this code's schema: under a lock, and only by adding."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from stageline.catalogue import name_keys, vector
from stageline.catalogue.engine import reaching_database, reading, writing
from stageline.core import logs

LOCK = 0x57A6E11E  # of PostgreSQL's advisory locks
HERE = Path(__file__).parent / "migrations"


def migrate(engine: Engine) -> None:
    """Take every step that the database lacks; wait while another process does so.

    Names that an older version wrote without their key get it. A database with unknown steps, of a newer version, is
    left as it is: steps only add, so this code can use it.

    Raises:
        Unavailable: the database is away.
    """
    if engine.dialect.name == "sqlite":
        with _file_lock(engine):
            with reading(engine) as connection:
                connection.exec_driver_sql("COMMIT")  # the journal mode only changes outside of transactions
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                connection.exec_driver_sql("BEGIN")
            _take_steps(engine)
        name_keys.fill(engine)
        return
    _take_steps(engine)
    name_keys.fill(engine)
    vector.prepare(engine)


def revision(engine: Engine) -> str | None:
    """Return the latest step of the database; None where it has taken none.

    Raises:
        Unavailable: the database is away.
    """
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _take_steps(engine: Engine) -> None:
    """Take each step in its own transaction, so that its locks end before the next step."""
    is_done = False
    while not is_done:
        with writing(engine) as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL statement_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            is_done = not _take_step(connection)


def _take_step(connection: Connection) -> bool:
    """Take the next step that the database lacks; return whether there was one."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    known = {step.revision for step in scripts.walk_revisions()}
    taken = set(MigrationContext.configure(connection).get_current_heads())
    if taken - known:
        logs.get().warning("newer schema", taken=sorted(taken), reason="a newer version made it; it is left as it is")
    if taken - known or taken == set(scripts.get_heads()):
        return False
    command.upgrade(config, "+1")
    return True


@contextlib.contextmanager
def _file_lock(engine: Engine) -> Iterator[None]:
    database = engine.url.database
    if not database or database == ":memory:":
        yield
        return
    path = Path(f"{database}.lock")
    with reaching_database():
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield

"""Migrations: any number of processes at once, the same tables as the code's, and newer ones left alone."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from stageline.catalogue import Catalogue, open_engine
from stageline.catalogue.engine import reading, writing
from stageline.catalogue.migrate import migrate, revision
from stageline.catalogue.tables import METADATA
from stageline.catalogue.writer import Writer
from stageline.core.settings import Settings
from stageline.store import FolderStore
from tests.support.catalogue_makers import dump, stream


@pytest.fixture
def bucket(tmp_path) -> FolderStore:
    found = FolderStore(tmp_path / "bucket")
    found.check()
    return found


MIGRATE = """
import sys
from pathlib import Path
import stageline.catalogue.engine as database
from stageline.catalogue import open_engine
from stageline.catalogue.migrate import migrate, revision
from stageline.core.settings import Settings
database.CONNECT_SECONDS = 60  # six at once, on a machine that may be busy
engine = open_engine(Settings(database_url=sys.argv[1] or None, stageline_data=Path(sys.argv[2])))
sys.stdin.readline()
migrate(engine)
print(revision(engine))
"""


def test_migrations_and_tables_agree(catalogue_engine) -> None:
    """Alembic finds nothing to do."""
    with reading(catalogue_engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_many_processes_may_migrate_at_once(kind, tmp_path, request) -> None:
    """One does it, the others wait, all come out well."""
    url = request.getfixturevalue("postgres_server").create_database("together") if kind == "postgres" else ""
    command = [sys.executable, "-c", MIGRATE, url, str(tmp_path / "data")]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        said, trouble = process.communicate(timeout=120)
        assert (process.returncode, said, trouble) == (0, "0006\n", "")
    engine = open_engine(Settings(database_url=url or None, stageline_data=tmp_path / "data"))
    assert not any(dump(engine, tombstones=True).values())
    engine.dispose()


def test_migrating_again_changes_nothing(catalogue_engine, bucket) -> None:
    Writer(catalogue_engine, bucket, 0).apply(stream("a"))
    before = dump(catalogue_engine)
    migrate(catalogue_engine)
    assert dump(catalogue_engine) == before


def test_a_newer_schema_is_left_alone_and_serves(catalogue_engine, bucket) -> None:
    """An older version reads and writes what a newer one has added to."""
    with writing(catalogue_engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE image_info ADD COLUMN of_the_future text"))
    migrate(catalogue_engine)
    assert revision(catalogue_engine) == "9999"
    Writer(catalogue_engine, bucket, 0).apply(stream("a"))
    assert Catalogue(catalogue_engine).picture("a")["status"] == "completed"

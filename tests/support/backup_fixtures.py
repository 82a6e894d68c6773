"""Servers of a line, and a backup of them: name this module in ``pytest_plugins``."""

import shutil
from pathlib import Path

import pytest

from stageline.catalogue.migrate import migrate
from stageline.registry.repository import Repository
from stageline.store.base import StoredObject
from tests.support.backup_place import Place, script
from tests.support.places import missing
from tests.support.servers import PostgresServer
from tests.support.tiny_embedder import cells


@pytest.fixture
def tools() -> None:
    """The programs that the scripts call."""
    for program in ("bash", "tar", "rclone", "pg_dump", "pg_restore", "psql"):
        if shutil.which(program) is None:
            missing(f"no {program} on the PATH")


@pytest.fixture
def place(tools, start_minio, postgres_server: PostgresServer) -> Place:
    """A MinIO and a database with nothing in them."""
    return Place(start_minio(), postgres_server.create_database("to_back_up"))


@pytest.fixture
def new_place(tools, start_minio, postgres_server: PostgresServer) -> Place:
    """Others, after those were lost."""
    return Place(start_minio(), postgres_server.create_database("to_restore"))


@pytest.fixture
def kept(place: Place, tmp_path: Path) -> Path:
    """A backup of a few rows and objects, of a line that does not run."""
    migrate(place.engine)
    place.bucket("images").put(StoredObject("original/a.jpg", b"a picture", "image/jpeg"))
    Repository(place.bucket("models")).publish(cells())
    done = script("backup.sh", tmp_path / "backup", at=place)
    assert done.returncode == 0, done.stderr
    return tmp_path / "backup"

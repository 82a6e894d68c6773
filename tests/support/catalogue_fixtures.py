"""A writer of the catalogue, and its bucket: name this module in ``pytest_plugins``."""

import pytest
from sqlalchemy import Engine

from stageline.catalogue.writer import Writer
from stageline.store import FolderStore


@pytest.fixture
def bucket(tmp_path) -> FolderStore:
    found = FolderStore(tmp_path / "bucket")
    found.check()
    return found


@pytest.fixture
def writer(catalogue_engine: Engine, bucket: FolderStore) -> Writer:
    return Writer(catalogue_engine, bucket, 0)

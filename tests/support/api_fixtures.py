"""A whole line for a module's tests: name this module in ``pytest_plugins``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stageline.store import ObjectStore, hot_cache, open_store
from tests.support.api_line import Api, ApiLine, api_line


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[ApiLine]:
    """A line for the tests of a module."""
    with api_line(tmp_path_factory.mktemp("api"), models_dir) as found:
        yield found


@pytest.fixture
def api(whole: ApiLine) -> Api:
    """A client of it."""
    return whole.api


@pytest.fixture
def line_bucket(whole: ApiLine, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The line's bucket, behind the line's cache."""
    monkeypatch.setattr(hot_cache, "ANSWER_SECONDS", 60.0)  # else a slow answer is none, and workers read an old copy
    monkeypatch.setattr(hot_cache, "CONNECT_SECONDS", 60.0)
    return open_store(whole.settings)

"""A whole line for a module's tests: name this module in ``pytest_plugins``."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_line import Api, ApiLine, api_line


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[ApiLine]:
    """A line for the tests of a module."""
    with api_line(tmp_path_factory.mktemp("api"), models_dir) as found:
        yield found


@pytest.fixture
def api(whole: ApiLine) -> Api:
    """A client of it."""
    return whole.api

"""What every tier of the tests shares: no setting of this machine reaches a test, and files are worked on in parallel.

Servers are in tests/support/fixtures.py: the conftest of a tier imports what its tests may use.
"""

from pathlib import PurePosixPath
from typing import Any

import pytest

from stageline.core.settings import Settings

pytest.register_assert_rewrite("tests.support")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's reaches a test."""
    for name in (*Settings.model_fields, "aws_region"):  # the second name of S3_REGION
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker of pytest-xdist whole files, since tests of a file share servers; and the page to one worker.

    All tests of the page share one line and one Chromium: a second worker on them would start a second of each.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.split("::", 1)[0]
            return "tests/page" if PurePosixPath(path).is_relative_to("tests/page") else path

    return ByFile(config, log)

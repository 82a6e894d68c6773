"""What every tier of the tests shares: no setting of this machine reaches a test.

Servers are in tests/support/fixtures.py: the conftest of a tier imports what its tests may use.
"""

import pytest

from stageline.settings import Settings

pytest.register_assert_rewrite("tests.support")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's reaches a test."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

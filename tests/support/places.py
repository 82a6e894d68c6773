"""Where the repository and the data beside it are, and the rule for what is missing.

A server or a data set that is missing skips a test on a laptop, with the reason, and fails it under CI=true.
"""

import os
from pathlib import Path
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
SHARED = REPOSITORY.parent / "shared"


def missing(reason: str) -> NoReturn:
    """Skip on a laptop; fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"under CI=true everything must be there: {reason}")
    pytest.skip(reason)

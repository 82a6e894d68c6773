"""The settings: read once, from the environment, and a wrong one stops the process with a sentence that names it."""

import subprocess
import sys

import pytest

from stageline.core import settings


@pytest.fixture(autouse=True)
def _fresh() -> None:
    settings.load.cache_clear()


def test_the_process_stops_with_the_sentence() -> None:
    """Each service ends with a line that names the variable, and no traceback."""
    for module in ("grab_service", "resize_service"):
        done = subprocess.run(
            [sys.executable, "-m", module], env={"PORT": "never"}, capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert "PORT='never'" in done.stderr
        assert "Traceback" not in done.stderr

"""The command line in an empty folder, and a picture for it: name this module in ``pytest_plugins``."""

import subprocess
from pathlib import Path

import pytest

from tests.support import commands


@pytest.fixture
def stageline(tmp_path, models_dir):
    """Run `stageline` in an empty folder."""

    def run(*words: object, **environment: str) -> subprocess.CompletedProcess:
        return commands.stageline(tmp_path, *words, **{"MODELS_DIR": str(models_dir), **environment})

    return run


@pytest.fixture
def giraffe(data_dir) -> Path:
    return (data_dir / "coco128" / "images" / "000000000025.jpg").absolute()

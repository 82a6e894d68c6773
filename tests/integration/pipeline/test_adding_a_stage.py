"""docs/adding-a-stage.md is true: following it to the letter gives a line with one stage more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.added_stage import follow_the_page
from tests.support.running_line import inherited


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the repository in which somebody followed the page."""
    return follow_the_page(tmp_path)


def python(copy: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *words], env=inherited() | environment, cwd=copy, capture_output=True, text=True, check=False
    )


def test_a_picture_goes_through_the_new_stage(copy, models_dir, data_dir) -> None:
    """It works like the others, and its output lies in a folder of its own."""
    picture = (data_dir / "coco128" / "images" / "000000000025.jpg").absolute()
    words = ("-m", "stageline", "run", str(picture), "--out", "made", "--json")
    done = python(copy, *words, MODELS_DIR=str(models_dir), PYTHONPATH=str(copy))
    assert done.returncode == 0, done.stderr
    (document,) = json.loads(done.stdout)
    assert [name for name in document["stages"] if name != "grab"] == [
        "resize",
        "grayscale",
        "sharpen",
        "detect",
        "classify",
        "tag",
    ]
    assert document["stages"]["sharpen"]["key"] == f"sharpened/{document['image_id']}.jpg"
    assert (copy / "made" / "sharpened" / f"{document['image_id']}.jpg").stat().st_size > 1000


def test_the_new_stage_passes_the_linters(copy) -> None:
    """What the page shows is as strict as the rest."""
    linted = python(copy, "-m", "ruff", "check", "sharpen_service", "stageline/pipeline/line.py")
    assert linted.returncode == 0, linted.stdout
    checked = python(copy, "-m", "mypy", "sharpen_service")
    assert checked.returncode == 0, checked.stdout

"""docs/adding-a-stage.md is true: following it to the letter gives a line with one stage more."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import REPOSITORY
from tests.support.running_line import inherited


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the repository in which somebody followed the page."""
    skipped = shutil.ignore_patterns("__pycache__")
    for folder in ("stageline", "models", *(path.name for path in REPOSITORY.glob("*_service"))):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=skipped)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    page = (REPOSITORY / "docs" / "adding-a-stage.md").read_text()
    for name, code in re.findall(r"```python\n# (sharpen_service/\w+\.py)\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    (tmp_path / "sharpen_service" / "__init__.py").write_text('"""Sharpening."""\n')
    (table,) = re.findall(r"^LINE = \(\n.*?^\)\n", page, re.DOTALL | re.MULTILINE)
    edit(tmp_path / "stageline" / "pipeline" / "line.py", r"^LINE = \(\n.*?^\)\n", table)
    edit(tmp_path / "stageline" / "pipeline" / "schema.py", r"^FOLDERS = \(", 'FOLDERS = ("sharpened", ')
    return tmp_path


def edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, lambda _: replacement, path.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert count == 1
    path.write_text(text)


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

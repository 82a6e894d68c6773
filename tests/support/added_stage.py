"""A version of the line with one stage more: a copy of the repository in which docs/adding-a-stage.md was followed."""

import re
import shutil
from pathlib import Path

from tests.support.places import REPOSITORY

PAGE = REPOSITORY / "docs" / "adding-a-stage.md"
STAGE, FOLDER = "sharpen", "sharpened"


def follow_the_page(copy: Path) -> Path:
    """Copy what is installed of the line into a folder, and do there what the page says; return the folder."""
    skipped = shutil.ignore_patterns("__pycache__")
    for folder in ("stageline", "models", *(path.name for path in REPOSITORY.glob("*_service"))):
        shutil.copytree(REPOSITORY / folder, copy / folder, ignore=skipped)
    shutil.copy(REPOSITORY / "pyproject.toml", copy)
    page = PAGE.read_text()
    for name, code in re.findall(r"```(?:python|toml)\n# (sharpen_service/\w+\.\w+)\n(.*?)```", page, re.DOTALL):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(code)
    (copy / "sharpen_service" / "__init__.py").write_text('"""Sharpening."""\n')
    (table,) = re.findall(r"^LINE = \(\n.*?^\)\n", page, re.DOTALL | re.MULTILINE)
    _edit(copy / "stageline" / "pipeline" / "line.py", r"^LINE = \(\n.*?^\)\n", table)
    return copy


def _edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, lambda _: replacement, path.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert count == 1
    path.write_text(text)

"""The counter of lines of code, on a small repository of its own."""

import subprocess
import sys
from pathlib import Path

from tests.support.places import REPOSITORY

COUNTED = {"stageline/a.py": "x = 1\ny = 2\n", "tag_service/b.lua": "return 1\n", "tag_service/Dockerfile": "FROM x\n"}
OTHER = {"tests/c.py": "z = 3\n", "tests/Dockerfile": "FROM y\n", "tag_service/requirements.txt": "redis\n"}
NO_CODE = '"""A docstring,\n\nof three lines."""\n\n# A comment.\n\n\ndef f():\n    """Another."""\n'


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], cwd=folder, check=True)


def printed(folder: Path, *words: str) -> dict[str, list[str]]:
    """What the script prints, by the first word of each row."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "count_lines.py"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return {row.split()[0]: row.split()[1:] for row in done.stdout.splitlines()[1:]}


def test_lines_of_code_are_compared_with_a_revision(tmp_path: Path) -> None:
    """Blank lines, comments and docstrings do not count, nor do tests and requirements; what is not committed does."""
    for name, text in (COUNTED | OTHER).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    (tmp_path / "stageline" / "a.py").unlink()
    (tmp_path / "stageline" / "new.py").write_text(f"{NO_CODE}    return 1  # counted\n\n\n# do not edit\nx = 'ü'\n")
    (tmp_path / "tag_service" / "Dockerfile").write_text("FROM x\n\n# a comment\nUSER 1\n")
    assert printed(tmp_path, "HEAD") == {
        "Dockerfiles": ["1", "2", "+1"],
        "stageline": ["2", "3", "+1"],
        "tag_service": ["1", "1", "+0"],
        "together": ["4", "6", "+2"],
    }

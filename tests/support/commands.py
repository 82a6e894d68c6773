"""Running `stageline` as a user does: in a folder, with no more of this process's environment than programs need."""

import subprocess
import sys
from pathlib import Path

from tests.support.running_line import inherited

STAGELINE = [sys.executable, "-P", "-m", "stageline"]  # -P: as the installed script, which does not look where it runs


def environment(**own: str) -> dict[str, str]:
    """What a program needs of this process's environment, and what is given."""
    return inherited() | own


def stageline(folder: Path, *words: object, **own: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end, with these variables."""
    return subprocess.run(
        [*STAGELINE, *map(str, words)], env=environment(**own), cwd=folder, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip

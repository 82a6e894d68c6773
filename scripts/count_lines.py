"""Counts lines of code, without blank lines, comments and docstrings: `make count`, `make count SINCE=<revision>`.

It counts what runs: stageline/, the services, and the Dockerfiles; at that revision (else the last commit), and now.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from pygount import SourceAnalysis

SUFFIXES = {".py", ".lua", ".js", ".css", ".html"}


def main() -> None:
    """Print the lines of each part at the revision, those it has now, and the difference."""
    revision = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "archive.tar")
        run("git", "archive", "--output", str(archive), revision)
        run("tar", "-xf", str(archive), "-C", folder)
        before = counted(Path(folder), [str(path.relative_to(folder)) for path in Path(folder).rglob("*")])
    now = counted(Path(), run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines())
    rows = [("", revision[:12], "now", "")]
    for part in (*sorted(before | now), "together"):
        was, has = (sum(each.values()) if part == "together" else each[part] for each in (before, now))
        rows.append((part, f"{was:,}", f"{has:,}", f"{has - was:+,}"))
    for row in rows:
        sys.stdout.write("{:20} {:>12} {:>8} {:>8}\n".format(*row))


def counted(root: Path, names: list[str]) -> Counter[str]:
    """The lines of code of each part."""
    lines: Counter[str] = Counter()
    for path in map(Path, names):
        part = "Dockerfiles" if path.name.startswith("Dockerfile") else path.parts[0]
        ours = part == "Dockerfiles" and path.parts[0] != "tests"
        ours |= path.suffix in SUFFIXES and (part == "stageline" or part.endswith("_service"))
        if ours and (root / path).is_file():
            lines[part] += count(root / path)
    return lines


def count(path: Path) -> int:
    """The lines of code of a file, also of one that a program made."""
    return SourceAnalysis.from_file(str(path), "stageline", encoding="utf-8", generated_regexes=[]).code_count


def run(*command: str) -> str:
    """Run a command to its end; return what it printed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - our own words


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)  # git has printed the error

"""Write the generated files, or with ``--check`` print those that differ: ``python -m scripts.generate [--check]``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.generate import files, services

ROOT = Path(__file__).resolve().parents[2]


def main(words: Sequence[str], root: Path = ROOT) -> int:
    """Return 0 when all files are as they should be, now or from before; 1 when some differ; 2 on an error."""
    parser = argparse.ArgumentParser(prog="python -m scripts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when a file differs")
    check = parser.parse_args(words).check
    try:
        made = files.make(root, services.read(root))
    except services.GenerateError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    differing = [name for name, text in made.items() if _text(root / name) != text]
    stale = files.stale(root, made)
    if check:
        for name in differing:
            sys.stderr.write(f"{name} is not what `make generate` makes: run it\n")
        for name in stale:
            sys.stderr.write(f"{name} belongs to no service of the line: `make generate` removes it\n")
        return 1 if differing or stale else 0
    for name in differing:
        (root / name).write_text(made[name])
        sys.stdout.write(f"wrote {name}\n")
    for name in stale:
        (root / name).unlink()
        sys.stdout.write(f"removed {name}\n")
    return 0


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

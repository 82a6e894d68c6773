"""Processes whose clock is wrong, by Debian's libfaketime; their monotonic clock, and the times of files, are right."""

from pathlib import Path

from tests.support.places import missing

SLEEPING = Path(__file__).parent / "with_fake_time"


def clock_off(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is off by so much, as "+1h"."""
    return _preloaded() | {"FAKETIME": offset}


def clock_of(file: Path) -> dict[str, str]:
    """The environment of a process whose clock is off by what that file says, whenever it says something else."""
    return _preloaded() | {"FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}


def _preloaded() -> dict[str, str]:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("no libfaketime: apt-get install faketime")
    own = {"LD_PRELOAD": str(found[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
    return own | {"PYTHONPATH": str(SLEEPING)}

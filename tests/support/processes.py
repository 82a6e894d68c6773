"""What processes there are and what they cost, CPU seconds and memory, read from Linux's /proc."""

import os
from collections import defaultdict
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on, which are state, parent and so on."""
    text = (_PROC / str(pid) / "stat").read_text()
    return text[text.rindex(")") + 2 :].split()  # the second field, the name, may hold spaces and brackets


def descendants(pid: int) -> list[int]:
    """The living children of `pid`, and theirs, in no particular order."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                children[int(_stat(int(entry.name))[1])].append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
    found: list[int] = []
    waiting = [pid]
    while waiting:
        young = children[waiting.pop()]
        found += young
        waiting += young
    return found


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return _stat(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_seconds(pid: int) -> float:
    """CPU time, user and system, of `pid`, its living descendants and the children it has waited for.

    Raises ProcessLookupError where `pid` is gone.
    """
    ticks = _ticks(pid)
    if ticks is None:
        raise ProcessLookupError(f"No process {pid}")
    return (ticks + sum(_ticks(child) or 0 for child in descendants(pid))) / _TICK


def _ticks(pid: int) -> int | None:
    """utime + stime of a process, and cutime + cstime of its ended children; None where it is gone."""
    try:
        return sum(int(field) for field in _stat(pid)[11:15])
    except (FileNotFoundError, ProcessLookupError):
        return None


def peak_rss_mb(pid: int) -> float:
    """The most memory (VmHWM, in MiB) that `pid` alone has held; sum it over `descendants` for a whole family.

    Raises ProcessLookupError where `pid` is gone or a zombie.
    """
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(f"No living process {pid}")

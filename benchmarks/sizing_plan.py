"""The arithmetic of the sizing table: pods for a rate, growth with replicas, requests and limits."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stageline.pipeline import line

STAGES = tuple(stage.name for stage in line.LINE)
OTHERS = ("grab", "catalogue")
SERVERS = ("redis", "cache", "minio", "postgres")
ALL = (*STAGES, *OTHERS, *SERVERS)
RATES = (30, 100)  # pictures a second that pods are counted for
BUSY = 0.7  # the share of a pod's capacity that is used; the rest is for bursts and for missing pods
REQUEST_RATE = 10  # pictures a second that the CPU requests are for
MIN_MILLICORES = 10
MARGIN = 1.25  # of a memory limit over the measured peak
COMMAND_MIB = 128  # the least margin: a command line run in the pod
STEP_MIB = 64
MIN_LIMIT_MIB = {"redis": 1024, "minio": 1024, "postgres": 512}  # for growth that minutes of measuring do not show
DAY = 86_400
STATUS_SECONDS, CONTENT_SECONDS = 3600, DAY  # how long Redis keeps a picture's status, and its content's hash
EVENTS = 20_000  # that Redis keeps


class Need(NamedTuple):
    """The requests and limits of a workload."""

    millicores: int
    memory_mib: int
    limit_mib: int


def round_up(value: float, step: int) -> int:
    """Return the next multiple of ``step``."""
    return step * math.ceil(value / step)


def pods(rate: float, capacity: float) -> int:
    """Return the number of pods for ``rate`` pictures a second, if one has ``capacity`` and is at most ``BUSY``."""
    return max(1, math.ceil(round(rate / (capacity * BUSY), 6)))


def cores(rate: float, cpu_ms: float) -> float:
    """Return the number of busy cores at ``rate`` pictures a second."""
    return rate * cpu_ms / 1000


def capacities(alone: Mapping[str, float], cpu_ms: Mapping[str, float]) -> dict[str, float]:
    """Return one pod's pictures a second: a stage's as measured alone; the API's and the catalogue's by one core."""
    return {name: alone[name] for name in STAGES} | {name: 1000 / cpu_ms[name] for name in OTHERS}


def line_speed(workers: int, alone: Mapping[str, float], total_cpu_ms: float, on_cores: int | None = None) -> float:
    """Return the pictures a second of the slowest stage, limited by the number of cores."""
    by_stage = workers * min(alone[name] for name in STAGES)
    return by_stage if on_cores is None else min(by_stage, 1000 * on_cores / total_cpu_ms)


def need(name: str, cpu_ms: float, usual_mib: float, worst_mib: float) -> Need:
    """A request of the share at ``REQUEST_RATE``, and of the memory of usual pictures; a limit above the worst.

    A millisecond per picture at so many pictures a second is that many thousandths of a core.
    """
    millicores = max(MIN_MILLICORES, round_up(round(cpu_ms * REQUEST_RATE, 6), 5))
    limit = max(worst_mib * MARGIN, worst_mib + COMMAND_MIB, MIN_LIMIT_MIB.get(name, 0))
    return Need(millicores, round_up(usual_mib, STEP_MIB // 2), round_up(limit, STEP_MIB))


def redis_mib(rate: float, kept: Mapping[str, float], empty_mib: float) -> float:
    """Return Redis's memory after a day of ``rate`` different pictures a second."""
    per_rate = (kept["status"] + kept["named"]) * STATUS_SECONDS + kept["sha256"] * CONTENT_SECONDS
    return empty_mib + (rate * per_rate + kept["event"] * EVENTS) / 2**20


def by_workload(values: Mapping[str, float]) -> dict[str, float]:
    """Add up what the processes of one workload have: ``detect-0`` and ``detect-1`` are ``detect``."""
    found: dict[str, float] = {}
    for name, value in values.items():
        workload = name.lower().partition("-")[0]
        found[workload] = found.get(workload, 0.0) + value
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown; the first column is text, the others are numbers."""
    line = "|".join(["---", *["---:"] * (len(head) - 1)])
    return [_row(head), f"|{line}|", *map(_row, rows), ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

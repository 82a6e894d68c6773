"""Makes the sizing tables in Markdown, and puts them into a document between two marks."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import sizing_plan as plan

Figures = Mapping[str, Any]
GROWTH = (1, 2, 4, 8)


def tables(found: Figures) -> Iterator[str]:
    """Yield all tables, line by line."""
    sizes = (
        f"{found['originals_bytes'] / 1000:.0f} KB each, {found['stored_bytes'] / 1000:.0f} KB in the bucket at the end"
    )
    yield f"On {found['cores']} cores of {found['processor']}; {found['pictures']} pictures at a time, {sizes}."
    yield ""
    yield "**CPU milliseconds per picture**, in the whole line (measured)"
    yield ""
    yield from _cpu(found)
    yield "**Throughput and replicas**: each stage by itself behind a full queue, and the whole line (measured)"
    yield ""
    yield from _growth_measured(found)
    yield "**Beyond** (calculated: each worker as fast as the one measured alone, and the cores for it)"
    yield ""
    yield from _growth_calculated(found)
    yield f"**Pods** at {plan.BUSY:.0%} of what one can do (calculated)"
    yield ""
    yield from _pods(found)
    yield "**Peak memory**, MiB, of one process of each (measured)"
    yield ""
    yield from _memory(found)
    yield f"**Requests and limits** (calculated: CPU for {plan.REQUEST_RATE} pictures a second)"
    yield ""
    yield from _needs(found)


def _cpu(found: Figures) -> list[str]:
    one, two = (found["line"][workers]["cpu_ms_per_picture"] for workers in ("1", "2"))
    rows = [[name, f"{one[name]:.1f}", f"{two[name]:.1f}"] for name in plan.ALL]
    rows.append(["all", f"{sum(one.values()):.1f}", f"{sum(two.values()):.1f}"])
    return plan.table(["", "1 worker per stage", "2 workers per stage"], rows)


def _growth_measured(found: Figures) -> list[str]:
    rows = []
    for name in plan.STAGES:
        one, two = (found["alone"][name][workers]["per_second"] for workers in ("1", "2"))
        rows.append([f"{name}, alone", f"{one:.1f}", f"{two:.1f}", f"{two / one:.2f}"])
    one, two = (found["line"][workers]["pictures_per_second"] for workers in ("1", "2"))
    rows.append(["the whole line", f"{one:.1f}", f"{two:.1f}", f"{two / one:.2f}"])
    calculated = [_line_speed(found, workers, found["cores"]) for workers in (1, 2)]
    rows.append(["… as calculated for these cores", *(f"{each:.1f}" for each in calculated), ""])
    return plan.table(["pictures a second", "1 worker per stage", "2 workers per stage", "times"], rows)


def _growth_calculated(found: Figures) -> list[str]:
    total = sum(found["line"]["1"]["cpu_ms_per_picture"].values())
    rows = []
    for workers in GROWTH:
        speed = _line_speed(found, workers)
        rows.append([str(workers), f"{speed:.0f}", f"{plan.cores(speed, total):.1f}"])
    return plan.table(["workers per stage", "pictures a second", "cores that are busy, servers included"], rows)


def _line_speed(found: Figures, workers: int, on_cores: int | None = None) -> float:
    total = sum(found["line"]["1"]["cpu_ms_per_picture"].values())
    return plan.line_speed(workers, _alone(found), total, on_cores)


def _alone(found: Figures) -> dict[str, float]:
    return {name: found["alone"][name]["1"]["per_second"] for name in plan.STAGES}


def _pods(found: Figures) -> list[str]:
    cpu = found["line"]["1"]["cpu_ms_per_picture"]
    capacity = plan.capacities(_alone(found), cpu)
    rows = []
    for name in (*plan.OTHERS[:1], *plan.STAGES, *plan.OTHERS[1:]):
        counts = [str(plan.pods(rate, capacity[name])) for rate in plan.RATES]
        rows.append([name, f"{capacity[name]:.0f}", *counts])
    rows += [
        [f"{name}: cores busy", "", *(f"{plan.cores(rate, cpu[name]):.2f}" for rate in plan.RATES)]
        for name in plan.SERVERS
    ]
    rows.append(["redis: MiB after a day", "", *(f"{_redis_mib(found, rate):.0f}" for rate in plan.RATES)])
    days = (f"{rate * plan.DAY * found['stored_bytes'] / 1e9:.0f}" for rate in plan.RATES)
    rows.append(["minio: GB of disk a day", "", *days])
    busy = [plan.cores(rate, sum(cpu.values())) for rate in plan.RATES]
    rows.append(["cores busy, all together", "", *(f"{each:.1f}" for each in busy)])
    rows.append([f"cores to have, {plan.BUSY:.0%} busy", "", *(str(math.ceil(each / plan.BUSY)) for each in busy)])
    return plan.table(["", "pictures/s of one pod", *(f"at {rate} pictures/s" for rate in plan.RATES)], rows)


def _redis_mib(found: Figures, rate: float) -> float:
    return plan.redis_mib(rate, found["kept_in_redis"], found["memory"]["idle"]["redis"])


def _memory(found: Figures) -> list[str]:
    columns = {
        "idle": "idle",
        "usual": f"{found['pictures']} photographs",
        "large": "50 megapixels, one by one",
        "large_together": "eight of those at once",
    }
    rows = [[name, *(f"{found['memory'][what][name]:.0f}" for what in columns)] for name in plan.ALL]
    return plan.table(["", *columns.values()], rows)


def needs(found: Figures) -> dict[str, plan.Need]:
    """Return the requests and limits of each workload."""
    cpu, memory = found["line"]["1"]["cpu_ms_per_picture"], found["memory"]
    usual, worst = dict(memory["usual"]), dict(memory["large_together"])
    worst["redis"] = _redis_mib(found, plan.REQUEST_RATE)
    return {name: plan.need(name, cpu[name], usual[name], worst[name]) for name in plan.ALL}


def _needs(found: Figures) -> list[str]:
    wanted = needs(found)
    rows = [
        [name, f"{need.millicores}m", f"{need.memory_mib}Mi", f"{need.limit_mib}Mi"] for name, need in wanted.items()
    ]
    total = sum(need.millicores for need in wanted.values()), sum(need.memory_mib for need in wanted.values())
    rows.append(["all", f"{total[0]}m", f"{total[1]}Mi", ""])
    return plan.table(["", "CPU request", "memory request", "memory limit"], rows)


def put_into(document: Path, name: str, lines: list[str]) -> None:
    """Replace what stands between ``<!-- NAME: begin … -->`` and ``<!-- NAME: end -->``.

    Raises:
        ValueError: the document has no such marks.
    """
    text, shown = document.read_text(), "\n".join(lines).strip()
    marked = re.compile(rf"(<!-- {name}: begin[^\n]*-->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    replaced, count = marked.subn(lambda match: f"{match[1]}\n{shown}\n\n{match[2]}", text)
    if count != 1:
        raise ValueError(f"{document} must have <!-- {name}: begin --> and <!-- {name}: end --> once; it has {count}")
    document.write_text(replaced)

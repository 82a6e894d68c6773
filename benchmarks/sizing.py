"""Measures the line's cost by stage, and computes pods, requests and limits: the tables of docs/sizing.md.

    python -m benchmarks.sizing PICTURES_FOLDER [--rounds N] [--laps N] [--json FILE] [--into docs/sizing.md]

With a real Redis, hot cache, MinIO and PostgreSQL. Each stage works by itself off a full queue, with one worker and
with two, in turns. Then two whole lines, of one worker per stage and of two, take turns lap by lap: all pictures
`rounds` times, from four threads. Figures are medians over the laps. Last the largest pictures that are let in go down
the first line, for its memory. The CPU time of the senders is not counted. `--from FILE` measures nothing, and prints
what is in such a file again.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.contenders import Lap
from benchmarks.line import WARM_UP, figures
from benchmarks.sizing_line import SizedLine, largest_pictures
from benchmarks.sizing_stage import StageLap, StagesAlone
from benchmarks.sizing_tables import put_into, tables
from stageline.cli.folders import pictures_in
from stageline.core import logs
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.registry.install import by_default, install_all

COUNTS = (1, 2)  # workers per stage
LARGE_AT_ONCE = 2  # of each format: as many as the API accepts at the same time
Figures = dict[str, Any]


def measure_lines(pictures: Sequence[Path], options: argparse.Namespace) -> Figures:
    """Measure the whole line with one worker per stage and with two, and the memory of the first."""
    with tempfile.TemporaryDirectory(prefix="stageline-bench-") as scratch, ExitStack() as stack:
        lines: dict[int, SizedLine] = {}
        for count in COUNTS:
            lines[count] = SizedLine(Path(scratch) / str(count), count, options.models)
            stack.callback(lines[count].stop)
        memory = {"idle": lines[1].memory_now()}
        for each in lines.values():
            each.lap(pictures[:WARM_UP])
        before = lines[1].stored_bytes()
        laps: dict[int, list[Lap]] = {count: [] for count in COUNTS}
        for number in range(options.laps):
            for count, each in lines.items():
                lap = each.lap(list(pictures) * options.rounds)
                laps[count].append(lap)
                _note(f"lap {number + 1}: {each.name}: {lap.pictures / lap.seconds:.1f} pictures/s; {_busy(lap)}")
        memory["usual"] = lines[1].memory()
        lines.pop(2).stop()
        kept = lines[1].kept_in_redis()
        stored = (lines[1].stored_bytes() - before) / sum(lap.pictures for lap in laps[1])
        memory |= _large(lines[1], Path(scratch))
    speeds = {str(count): figures(laps[count], {}) for count in COUNTS}
    return {"line": speeds, "memory": memory, "kept_in_redis": kept, "stored_bytes": stored}


def _busy(lap: Lap) -> str:
    return f"{sum(lap.cpu.values()) / lap.seconds:.2f} cores; others used {lap.others / lap.seconds:.2f}"


def _large(sized: SizedLine, folder: Path) -> Figures:
    """Return the peak memory after the largest pictures came one by one, and after they came at once."""
    large, memory = largest_pictures(folder), {}
    for path in large:
        started = time.monotonic()
        sized.at_once([path])
        _note(f"{path.name}, {path.stat().st_size / 2**20:.0f} MiB: {time.monotonic() - started:.1f} s")
    memory["large"] = sized.memory()
    sized.at_once(large * LARGE_AT_ONCE)
    return memory | {"large_together": sized.memory()}


def measure_alone(pictures: Sequence[Path], options: argparse.Namespace) -> Figures:
    """Measure each stage alone with one worker and with two."""
    with tempfile.TemporaryDirectory(prefix="stageline-bench-") as scratch:
        alone = StagesAlone(Path(scratch), options.models)
        try:
            alone.prepare(pictures)
            return {stage.name: _alone(alone, stage, options) for stage in line.LINE}
        finally:
            alone.stop()


def _alone(alone: StagesAlone, stage: line.Stage, options: argparse.Namespace) -> Figures:
    laps: dict[int, list[StageLap]] = {count: [] for count in COUNTS}
    for _ in range(options.laps):
        for count in COUNTS:
            laps[count].append(alone.lap(stage, count, options.rounds))
    found = {str(count): _medians(done) for count, done in laps.items()}
    one, two = (found[str(count)]["per_second"] for count in COUNTS)
    _note(f"{stage.name} alone: {one:.1f} pictures/s, {two:.1f} with two workers")
    return found


def _medians(laps: Sequence[StageLap]) -> dict[str, float]:
    return {name: statistics.median(getattr(lap, name) for lap in laps) for name in StageLap._fields}


def processor() -> str:
    """Return the name of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (text.partition(":")[2].strip() for text in lines if text.startswith("model name"))
    return next(named, "an unnamed processor")


def measure(options: argparse.Namespace) -> Figures:
    """Return all figures, as in the JSON file."""
    install_all(by_default(), Settings(models_dir=options.models))
    pictures = pictures_in([options.folder]).pictures
    alone = measure_alone(pictures, options)
    sent = len(pictures) * options.rounds
    machine = {"cores": len(os.sched_getaffinity(0)), "processor": processor()}
    sizes = {"pictures": sent, "originals_bytes": statistics.fmean(path.stat().st_size for path in pictures)}
    return {**machine, **sizes, "alone": alone, **measure_lines(pictures, options)}


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="PICTURES_FOLDER", nargs="?")
    parser.add_argument("--rounds", type=int, default=3, help="times that all pictures are sent in a lap")
    parser.add_argument("--laps", type=int, default=3, help="turns that each has")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"), help="where models are installed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--from", type=Path, dest="given", metavar="FILE", help="print what such a file says")
    parser.add_argument(
        "--into", type=Path, metavar="FILE", help="put the tables into this document, between its marks"
    )
    options = parser.parse_args()
    if (options.folder is None) == (options.given is None):
        parser.error("name a folder of pictures, or --from FILE")
    if missing := [path for path in (options.folder, options.given) if path is not None and not path.exists()]:
        parser.error(f"{missing[0]}: there is no such file or folder")
    return options


def main() -> int:
    """Measure and report; return 0, or 2 if something is missing."""
    options = _options()
    logs.configure(Settings(log_level="ERROR"), "sizing")  # so that only the tables are printed
    try:
        found = json.loads(options.given.read_text()) if options.given else measure(options)
    except (ModelError, FileNotFoundError, RuntimeError) as error:
        _note(str(error))
        return 2
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    shown = list(tables(found))
    print("\n".join(shown))
    if options.into:
        put_into(options.into, "sizing", shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())

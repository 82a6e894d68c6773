"""Measures the whole line, beside the plain chain and the bound of its bare functions.

    python -m benchmarks.line PICTURES_FOLDER [--rounds N] [--laps N] [--workers detect=2 …] [--json FILE]

Each contender has a Redis and a MinIO of its own, and both stay up to the end. After a warm-up they take turns,
lap by lap: all pictures `rounds` times, from four threads; the figures are medians over the laps, and the ratios are
of the same run. Latencies are those of a full line: all pictures of a lap are sent at once. The CPU time of the
senders is not counted. The plain chain needs torch, torchvision and facenet-pytorch; without them it is left out.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bound import BareLine
from benchmarks.contenders import Lap, LineContender, OurLine, PlainChain
from stageline.cli.folders import pictures_in
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.registry.install import by_default, install_all, manifest

WARM_UP = 32
CONTENDERS = ("ours", "plain", "bound")
Figures = dict[str, Any]


def median_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each name's values."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def figures(laps: Sequence[Lap], memory: Mapping[str, float]) -> Figures:
    """Return the figures of a contender's laps."""
    per_picture = median_of([{name: 1000 * cpu / lap.pictures for name, cpu in lap.cpu.items()} for lap in laps])
    latencies = [{f"p{share}": float(np.percentile(lap.latencies, share)) for share in (50, 95, 99)} for lap in laps]
    return {
        "pictures_per_second": statistics.median(lap.pictures / lap.seconds for lap in laps),
        "pictures_per_second_by_lap": [lap.pictures / lap.seconds for lap in laps],
        "cores_used_by_others_by_lap": [lap.others / lap.seconds for lap in laps],
        "latency_seconds": median_of(latencies),
        "cpu_ms_per_picture": per_picture,
        "cpu_ms_per_picture_in_all": sum(per_picture.values()),
        "peak_memory_mb": dict(memory),
        "peak_memory_mb_in_all": sum(memory.values()),
    }


def bound_figures(laps: Sequence[Mapping[str, float]], pictures: int) -> Figures:
    """Return the figures of the bare functions' laps, over all cores."""
    per_picture = median_of([{name: 1000 * cpu / pictures for name, cpu in lap.items()} for lap in laps])
    in_all = statistics.median(1000 * sum(lap.values()) / pictures for lap in laps)
    cores = len(os.sched_getaffinity(0))
    return {
        "pictures_per_second": 1000 * cores / in_all,
        "cores": cores,
        "cpu_ms_per_picture": per_picture,
        "cpu_ms_per_picture_in_all": in_all,
    }


def ratios(found: Mapping[str, Figures]) -> dict[str, float]:
    """Return the ratio of our pictures per second to the others'."""
    speed = {name: each["pictures_per_second"] for name, each in found.items()}
    pairs = {"ours_to_plain": ("ours", "plain"), "ours_to_bound": ("ours", "bound")}
    return {name: speed[a] / speed[b] for name, (a, b) in pairs.items() if a in speed and b in speed}


def measure(pictures: Sequence[Path], options: argparse.Namespace, names: Sequence[str]) -> dict[str, Figures]:
    """Run the contenders in turns; stop everything at the end."""
    with tempfile.TemporaryDirectory(prefix="stageline-bench-") as scratch, ExitStack() as stack:
        running: dict[str, LineContender] = {}
        if "ours" in names:
            environment = {"MODELS_DIR": str(options.models.absolute()), "LOG_LEVEL": options.log_level}
            running["ours"] = OurLine(Path(scratch) / "ours", _workers(options.workers), environment)
            stack.callback(running["ours"].stop)
        if "plain" in names:
            running["plain"] = PlainChain(Path(scratch) / "plain", _yolox(options.models))
            stack.callback(running["plain"].stop)
        bare = BareLine(Settings(models_dir=options.models)) if "bound" in names else None
        for contender in running.values():
            contender.lap(pictures[:WARM_UP])
        if bare:
            bare.lap(pictures[:WARM_UP])
        laps: dict[str, list[Lap]] = {name: [] for name in running}
        bare_laps = []
        for number in range(options.laps):
            for name, contender in running.items():
                laps[name].append(contender.lap(list(pictures) * options.rounds))
                done = laps[name][-1]
                speed, others = done.pictures / done.seconds, done.others / done.seconds
                _note(f"lap {number + 1}: {contender.name} {speed:.1f} pictures/s; others used {others:.2f} cores")
            if bare:
                bare_laps.append(bare.lap(pictures))
        found = {name: figures(laps[name], contender.memory()) for name, contender in running.items()}
        return {**found, "bound": bound_figures(bare_laps, len(pictures))} if bare else found


def _yolox(models: Path) -> Path:
    return models / "yolox-nano" / str(manifest()["yolox-nano"]["version"]) / "model.onnx"


def report(found: Mapping[str, Figures]) -> Iterator[str]:
    """Yield the figures as lines of text."""
    titles = {"ours": "Stageline", "plain": "plain chain", "bound": "bare functions"}
    yield _row("", [titles[name] for name in found])
    yield _row("pictures/s", [f"{each['pictures_per_second']:.1f}" for each in found.values()])
    for share in ("p50", "p95", "p99"):
        shown = [each.get("latency_seconds", {}).get(share) for each in found.values()]
        yield _row(f"{share} accepted to tagged, s", ["" if each is None else f"{each:.2f}" for each in shown])
    for what, title in (("cpu_ms_per_picture", "CPU ms per picture"), ("peak_memory_mb", "peak memory, MiB")):
        rows = list(dict.fromkeys(name for each in found.values() for name in each.get(what, {})))
        if not rows:
            continue
        yield ""
        for name in rows:
            shown = [each.get(what, {}).get(name) for each in found.values()]
            yield _row(f"{title}: {name}", ["" if each is None else f"{each:.1f}" for each in shown])
        shown = [each.get(f"{what}_in_all") for each in found.values()]
        yield _row(f"{title}, in all", ["" if each is None else f"{each:.1f}" for each in shown])
    yield ""
    against = {"ours_to_plain": "times the plain chain", "ours_to_bound": "of what the bare functions would allow"}
    for name, ratio in ratios(found).items():
        yield f"Stageline does {ratio:.2f} {against[name]}."


def _row(title: str, cells: Sequence[str]) -> str:
    return f"{title:<34}" + "".join(f"{cell:>16}" for cell in cells)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _workers(given: Sequence[str]) -> dict[str, int]:
    return {name: int(number) for name, _, number in (text.partition("=") for text in given)}


def _worker(text: str) -> str:
    """Parse STAGE=NUMBER, for argparse."""
    name, _, number = text.partition("=")
    if name not in {stage.name for stage in line.LINE} or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not STAGE=NUMBER, as in detect=2")
    return text


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.line", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="PICTURES_FOLDER")
    parser.add_argument("--rounds", type=int, default=3, help="times that all pictures are sent in a lap")
    parser.add_argument("--laps", type=int, default=3, help="turns that each contender has")
    parser.add_argument("--workers", type=_worker, nargs="+", default=[], metavar="STAGE=N", help="ours, by stage")
    parser.add_argument("--only", choices=CONTENDERS, help="measure nothing else")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"), help="where models are installed")
    parser.add_argument("--log-level", default="INFO", help="of our line")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def main() -> int:
    """Measure and report; return 0, or 2 if something is missing."""
    options = _options()
    names = [options.only] if options.only else list(CONTENDERS)
    if "plain" in names and (lacks := PlainChain.lacks()):
        _note(f"The plain chain is left out: it needs {', '.join(lacks)} (pip install 'stageline[train]').")
        names.remove("plain")
    try:
        install_all(by_default(), Settings(models_dir=options.models))
        found = measure(pictures_in([options.folder]).pictures, options, names)
    except (ModelError, FileNotFoundError, RuntimeError) as error:
        _note(str(error))
        return 2
    print("\n".join(report(found)))
    if options.json:
        options.json.write_text(json.dumps({**found, "ratios": ratios(found)}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

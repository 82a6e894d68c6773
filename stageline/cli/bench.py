"""``stageline bench``: how fast this machine is."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stageline.cli.common import AsJson, note, print_json, print_table
from stageline.core import settings
from stageline.registry.repository import open_repository

if TYPE_CHECKING:
    from stageline.bench.models import BenchRow
    from stageline.inference.open import Precision

app = typer.Typer(no_args_is_help=True, help="How fast this machine is.")
DEVICE = r"auto|cpu|cuda(:\d{1,3})?"
PRECISIONS: tuple["Precision", ...] = ("auto", "float32")
COLUMNS = ["model", "runtime", "device", "precision", "batch", "ms/picture", "pictures/s", "MiB", "× torch eager", ""]


@app.callback()
def _bench() -> None:
    """Make ``models`` a subcommand of ``bench``; typer would merge a single command into its group."""


@app.command()
def models(
    names: Annotated[
        list[str] | None, typer.Argument(help="NAME or NAME@VERSION; without, all that are served.")
    ] = None,
    on: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N; without, DEVICE.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32, or both, separated by commas.")] = "auto",
    batch: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1,8,16",
    threads: Annotated[int, typer.Option(min=1, help="Cores per call, on a CPU.")] = 1,
    pictures: Annotated[Path | None, typer.Option(help="A folder of pictures to use; without, noise.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each has its turn; the median counts.")] = 5,
    memory: Annotated[bool, typer.Option(help="Measure memory, too, which takes most of the time.")] = True,
    as_json: AsJson = False,
) -> None:
    """Measure the models on each runtime of a device, side by side, and against torch in eager mode."""
    # Slow to import, and seldom needed.
    from stageline.bench import cases, contenders  # noqa: PLC0415
    from stageline.bench import models as bench  # noqa: PLC0415
    from stageline.inference import device  # noqa: PLC0415

    found = settings.load()
    if not re.fullmatch(DEVICE, on or found.device):
        raise typer.BadParameter(f"{on!r} is not auto, cpu, cuda or cuda:N", param_hint="--device")
    found_contenders = contenders.contenders(device.choose(on or found.device), _precisions(precision), threads)
    how = bench.How(_numbers(batch), rounds, memory=memory)
    shown = cases.read_pictures(pictures, found.max_image_pixels) if pictures else cases.noise()
    rows = list(bench.measure(bench.chosen(open_repository(found), names or []), found_contenders, shown, how, note))
    if as_json:
        print_json([bench.as_json(row) for row in rows])
    else:
        print_table(COLUMNS, [_cells(row) for row in rows])
    if not device.has_torch():
        note("no ratios to torch in eager mode, which is not installed: pip install 'stageline[gpu]'")


def _precisions(text: str) -> list["Precision"]:
    words = text.split(",")
    if not set(words) <= set(PRECISIONS):
        raise typer.BadParameter(f"{text!r} is not {' or '.join(PRECISIONS)}, or both", param_hint="--precision")
    return [precision for precision in PRECISIONS if precision in words]


def _numbers(text: str) -> list[int]:
    words = text.split(",")
    if not all(re.fullmatch(r"[1-9][0-9]{0,3}", word) for word in words):
        raise typer.BadParameter(f"{text!r} is not a list of numbers, as 1,8,16", param_hint="--batch")
    return sorted({int(word) for word in words})


def _cells(row: "BenchRow") -> list[object]:
    return [
        row.model,
        row.runtime,
        row.device,
        row.precision,
        row.batch,
        f"{row.milliseconds:.2f}",
        f"{row.pictures_per_second:.1f}",
        "–" if row.mebibytes is None else f"{row.mebibytes:.0f}",
        "–" if row.times_torch is None else f"{row.times_torch:.1f}",
        "fastest" if row.fastest else "",
    ]

"""``stageline evaluate``: measures the line on labelled pictures."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stageline.cli.common import EXIT_FAILED, note, print_table, say, stderr
from stageline.core import logs, settings
from stageline.core.errors import StagelineError
from stageline.core.settings import Settings

if TYPE_CHECKING:
    from stageline.evaluation.dataset import DataSet

HEADINGS = {
    "better": "Settings that would do better:",
    "unsure": "Settings whose difference may be chance, on these pictures:",
    "same": "Settings that change nothing on these pictures:",
    "worse": "Settings that would do worse:",
}
CHOSEN = (
    "DETECT_MIN_SCORE and the thresholds of classify are chosen on every other picture; their figures are of the rest."
)


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Labelled pictures: a COCO JSON, or YOLO's images/ and labels/.")],
    annotations: Annotated[
        Path | None, typer.Option(help="The COCO JSON, or the names of YOLO's classes; without, looked for in FOLDER.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at so many pictures, drawn by chance.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures there, as JSON.")
    ] = None,
) -> None:
    """Say how well the line finds and names what is labelled, what its steps cost, and which settings would do better.

    Pictures go through the line's own functions in this one process, with no servers. Exit status 1 where a picture or
    a label could not be read; the figures are those of the others.
    """
    # Slow to import.
    from stageline.evaluation import reading, report  # noqa: PLC0415
    from stageline.evaluation.measuring import measure  # noqa: PLC0415
    from stageline.evaluation.summary import Summary  # noqa: PLC0415
    from stageline.evaluation.tries import tries  # noqa: PLC0415

    configured = settings.load()
    _configure_logs(configured)
    _check_writable(json_file)
    found = reading.sample(reading.read(folder, annotations), limit)
    note(f"{found.kind} of {found.source}: {_counted(len(found.pictures), 'picture')}")
    tried = tries(configured)
    with _progress(found) as advance:
        measured = measure(found, configured, tried, advance)
    figures = report.report(found, Summary(measured), tried, configured)
    _print(figures)
    if json_file is not None:
        _write(json_file, figures)
    for name, why in figures["models_left_out"].items():
        note(f"the model {name} is left out: {why}")
    for sentence in found.problems.sentences():
        note(sentence)
    if found.problems.failed:
        sys.exit(EXIT_FAILED)


def _configure_logs(configured: Settings) -> None:
    """Log only warnings unless LOG_LEVEL is set: the output is the figures."""
    chosen = "log_level" in configured.model_fields_set
    logs.configure(configured if chosen else configured.model_copy(update={"log_level": "WARNING"}), "evaluate")


def _print(figures: dict[str, Any]) -> None:
    data, line, network, used = figures["data"], figures["line"], figures["network"], figures["settings"]
    pictures, labels = _counted(data["pictures"], "picture"), _counted(data["labels"], "label")
    say(f"{pictures}, {labels} of {_counted(data['classes'], 'class', 'classes')} ({data['kind']})")
    if data["unknown_classes"]:
        named = ", ".join(f"{name} ({count})" for name, count in data["unknown_classes"].items())
        say(f"left out, as {used['DETECT_MODEL']} does not know these classes (labels): {named}")
    rows = [["the line, as configured", *_ways(line)], [f"{used['DETECT_MODEL']} alone", *_ways(network)]]
    say("")
    print_table(["objects", "AP", "AP50", "95 %", "ms/picture"], rows)
    say(
        "AP is about findings of every score. Of those that the line gives, by "
        f"DETECT_MIN_SCORE={used['DETECT_MIN_SCORE']}, {100 * line['precision']:.0f} % are right; "
        f"they are {100 * line['recall']:.0f} % of what is labelled."
    )
    _print_steps(figures["steps"])
    _print_categories(figures)
    _print_classes(figures["classes"])
    _print_tried(figures["tried"])
    if line["ap50_interval"] is None:
        from stageline.evaluation.intervals import MIN_PICTURES  # noqa: PLC0415 - slow to import

        say(f"Fewer than {MIN_PICTURES} of the pictures have a label: too few for intervals, and for any advice.")


def _print_steps(steps: Sequence[dict[str, Any]]) -> None:
    say("")
    rows = []
    for one in steps:
        ap50 = f"{one['ap50_without']:.3f}", f"{one['ap50_with']:.3f}", f"{one['ap50_difference']:+.3f}"
        rows.append([one["step"], *ap50, _range(one["interval"], "+.3f")])
    print_table(["what it costs", "AP50 without", "with", "difference", "95 %"], rows)


def _print_categories(figures: dict[str, Any]) -> None:
    say("")
    if figures["categories"] is None:
        name = figures["settings"]["CLASSIFY_MODEL"]
        say(f"categories: none; {name} is not {'used' if name in figures['models_left_out'] else 'installed'}")
        return
    rows = []
    for what, counts in figures["categories"].items():
        share = f"{100 * counts['right'] / counts['named']:.0f} %" if counts["named"] else "–"
        ends = counts["interval"] and [100 * end for end in counts["interval"]]
        rows.append([
            {"objects": "of objects", "pictures": "of whole pictures"}[what],
            counts["named"], counts["right"], share, _range(ends, ".0f"), counts["wrong"], counts["missed"],
        ])  # fmt: skip
    print_table(["categories", "named", "right", "", "95 %", "wrong", "missed"], rows)


def _print_classes(classes: Sequence[dict[str, Any]]) -> None:
    say("")
    numbers = ("line_ap", "line_ap50", "network_ap", "network_ap50")
    rows = [[one["class"], one["labels"], *(f"{one[name]:.3f}" for name in numbers)] for one in classes]
    print_table(["class", "labels", "AP", "AP50", "AP alone", "AP50 alone"], rows)


def _print_tried(tried: Sequence[dict[str, Any]]) -> None:
    for verdict, heading in HEADINGS.items():
        some = [one for one in tried if one["verdict"] == verdict and one["told"]]
        if some or verdict == "better":
            say("")
            say(heading)
            for one in some:
                say(f"  {one['sentence']}")
            if not some:
                say("  none of those that were tried")
    say("")
    say(CHOSEN)


def _counted(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or one + 's'}"


def _ways(way: dict[str, Any]) -> list[str]:
    return [f"{way['ap']:.3f}", f"{way['ap50']:.3f}", _range(way["ap50_interval"], ".3f"), f"{way['ms']:.1f}"]


def _range(ends: Sequence[float] | None, form: str) -> str:
    return "–" if ends is None else f"{ends[0]:{form}} to {ends[1]:{form}}"


@contextmanager
def _progress(found: "DataSet") -> Iterator[Any]:
    columns = (TextColumn("looking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        task = progress.add_task("looking", total=len(found.pictures))
        yield lambda: progress.advance(task)


def _check_writable(path: Path | None) -> None:
    """Check the path before an hour of measuring."""
    if path is not None and (
        path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK)
    ):
        raise StagelineError(
            f"--json {path} cannot be written: name a file in a folder that is there and may be written"
        )


def _write(path: Path, figures: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(figures, indent=2) + "\n")
    except OSError as error:
        raise StagelineError(f"--json {path} cannot be written: {error}") from error

"""The report of a training run: a page of figures, and the confusion matrix as a picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.training import calibration
from models.training.cifar10 import LABELS
from models.training.trained import MeasuredNetwork

COLUMNS = (*LABELS, "none")
SHARE = 0.95
CELL, LEFT, TOP, MARGIN = 78, 150, 140, 30  # pixels
WHITE, INK, FAINT = (255, 255, 255), (33, 37, 41), (134, 142, 150)
RIGHT, WRONG = (24, 100, 171), (201, 42, 42)  # of the fullest cells, on the diagonal and off it


@dataclass(frozen=True)
class ReportFigures:
    """The contents of a report."""

    title: str
    trained: str
    """A sentence: on what, how long, by which recipe."""
    history: Sequence[dict[str, float]]
    temperature: float
    difference: float
    """The largest one between the export's logits and torch's, on `compared` held-out pictures."""
    compared: int
    size: int
    """Of the file, in bytes."""
    where: str
    """What it was measured on."""
    measured: MeasuredNetwork
    outliers: MeasuredNetwork | None = None
    """Those held out, where it learnt from outliers."""
    threshold: float = 1.0
    """The least confidence from which 95 % of what is named is right, of the pictures that it was calibrated on."""


def page(figures: ReportFigures) -> str:
    """Return the report as Markdown."""
    measured, compared = figures.measured, figures.compared
    raw = calibration.expected_calibration_error(measured.logits * figures.temperature, measured.labels)
    lines = [
        f"# {figures.title}",
        "",
        f"{figures.trained} Measured on {len(measured.labels):,} test pictures, from model.onnx on {figures.where}.",
        "",
        "| figure | value |",
        "|---|---|",
        f"| accuracy | {measured.accuracy:.2%} |",
        f"| expected calibration error ({calibration.BINS} bins), as trained | {raw:.4f} |",
        f"| the same, after temperature scaling | {measured.calibration_error:.4f} |",
        f"| temperature, folded into the last layer | {figures.temperature:.3f} |",
        f"| largest difference of a logit from torch's, on {compared:,} held-out pictures | {figures.difference:.1e} |",
        f"| of these, with the same top class | {compared:,} |",
        f"| model.onnx | {figures.size / 1e6:.1f} MB |",
        f"| confidence from which {SHARE:.0%} of what is named is right, held out | {figures.threshold:.2f} |",
        *_outlier_rows(figures.outliers),
        "",
        "| class | accuracy | most often taken for |",
        "|---|---|---|",
        *(_class_row(label, measured.confusion) for label in range(len(LABELS))),
        "",
        "![confusion matrix](confusion.png)",
        "",
        "| epoch | loss | held-out accuracy |",
        "|---|---|---|",
        *(f"| {n} | {e['loss']:.4f} | {e['held_out_accuracy']:.2%} |" for n, e in enumerate(figures.history, start=1)),
    ]
    return "\n".join(lines) + "\n"


def _class_row(label: int, confusion: NDArray[np.int64]) -> str:
    row = confusion[label]
    others = np.where(np.arange(len(row)) == label, -1, row)
    other = int(others.argmax())
    return f"| {LABELS[label]} | {row[label] / max(1, row.sum()):.1%} | {COLUMNS[other]}, {others[other]} times |"


def _outlier_rows(outliers: MeasuredNetwork | None) -> list[str]:
    if outliers is None:
        return []
    sure = calibration.softmax(outliers.logits)[:, : len(LABELS)].max(axis=1)
    named = ", ".join(f"{(sure >= least).mean():.1%} at {least}" for least in (0.5, 0.85, 0.95))
    return [
        f"| of {len(outliers.labels):,} outliers that were held out, taken for none | {outliers.accuracy:.1%} |",
        f"| of these, named with at least that confidence | {named} |",
    ]


def confusion_picture(confusion: NDArray[np.int64], title: str) -> bytes:
    """Draw how many pictures of each class (rows) were taken for each (columns): a PNG file."""
    down, across = (CELL * count for count in confusion.shape)
    picture = Image.new("RGB", (LEFT + across + MARGIN, TOP + down + MARGIN), WHITE)
    draw = ImageDraw.Draw(picture)
    large, small, narrow = (ImageFont.load_default(size) for size in (24, 17, 14))
    draw.text((MARGIN, MARGIN), title, INK, large)
    draw.text((MARGIN, MARGIN + 32), "rows: what it is; columns: what it was taken for", FAINT, small)
    for n, label in enumerate(COLUMNS[: confusion.shape[1]]):
        middle = CELL * n + CELL // 2
        if n < len(confusion):
            draw.text((LEFT - 12, TOP + middle), label, INK, small, anchor="rm")
        draw.text((LEFT + middle, TOP - 12), label, INK, narrow, anchor="ms")
    for (row, column), count in np.ndenumerate(confusion):
        same = row == column
        most = max(
            1, int(np.where(np.eye(confusion.shape[0], confusion.shape[1], dtype=bool) == same, confusion, 0).max())
        )
        share = (int(count) / most) ** 0.7  # so that small counts are seen
        corner = (LEFT + column * CELL, TOP + row * CELL)
        _cell(draw, corner, int(count), share, RIGHT if same else WRONG)
    file = io.BytesIO()
    picture.quantize(128).save(file, "PNG", optimize=True)
    return file.getvalue()


def _cell(draw: ImageDraw.ImageDraw, corner: tuple[int, int], count: int, share: float, full: tuple[int, ...]) -> None:
    colour = tuple(round(255 + (part - 255) * share) for part in full)
    draw.rectangle((*corner, corner[0] + CELL - 2, corner[1] + CELL - 2), colour if count else (248, 249, 250))
    ink = WHITE if share > 0.55 else INK if count else (206, 212, 218)  # noqa: PLR2004 - readable on it
    draw.text((corner[0] + CELL // 2, corner[1] + CELL // 2), str(count), ink, ImageFont.load_default(19), anchor="mm")

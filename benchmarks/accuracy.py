"""Measures how well the line finds objects: AP50 over labelled pictures, sent through the stages' own functions.

    python -m benchmarks.accuracy COCO128_FOLDER [--model NAME] [--on grayscale resized original] [--models DIR]
                                  [--json FILE]

The folder holds images/, labels/ (YOLO text: class cx cy w h, relative) and names.yaml. AP50 is the mean, over the
classes that are labelled, of the area under the interpolated precision-recall curve at an IoU of 0.5, as COCO
defines it: 101 points, the best-scoring first, a label found once, at most 100 detections per picture.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from stageline.core import logs
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.evaluation import yolo
from stageline.evaluation.boxes import IOUS, Boxes, as_boxes, matched, overlaps
from stageline.evaluation.class_names import read_names
from stageline.evaluation.dataset import BadDataSet, Problems
from stageline.evaluation.precision import average_precision
from stageline.local.monolith import Monolith
from stageline.registry.install import install_all, manifest
from stageline.registry.missing_models import missing

__all__ = ["ap50", "average_precision", "matches", "measure", "overlaps", "read_labels", "read_names"]

Input = Literal["grayscale", "resized", "original"]
INPUTS: tuple[Input, ...] = get_args(Input)
MIN_SCORE, MAX_DETECTIONS = 0.01, 100
TABLE = "{:<12}{:>8}{:>10}{:>8}{:>10}"
NO_FACES = 1_000_000  # pixels: a least size that no face has, so that no time is spent on faces


@dataclass(frozen=True)
class Seen:
    """The findings and the labels of one picture: labels and boxes; the findings best first, with scores."""

    found: Sequence[tuple[str, float, Sequence[float]]]
    labelled: Sequence[tuple[str, Sequence[float]]]


def read_labels(path: Path, names: Mapping[int, str], width: int, height: int) -> list[tuple[str, list[float]]]:
    """Return a picture's labels, with boxes in its pixels; empty without a file.

    Raises BadDataSet where a line is no label.
    """
    problems = Problems()
    labels = yolo.read_labels(path, names, problems, str(path))
    if problems.failed:
        raise BadDataSet("; ".join(problems.sentences()))
    return [
        (label.name, [edge * side for edge, side in zip(label.box, [width, height] * 2, strict=True)])
        for label in labels
    ]


def look(folder: Path, settings: Settings) -> list[Seen]:
    """Send every picture of `folder` through the line's functions.

    Raises ModelError where the detector is not installed.
    """
    names, chain = read_names(folder / "names.yaml"), Monolith(settings)
    if settings.detect_model in missing(chain.models):
        raise ModelError(f"{settings.detect_model} is not installed in {settings.models_folder}: run `make models`")
    seen = []
    for path in sorted((folder / "images").iterdir()):
        fields = chain.run(path.read_bytes(), path.name)[0].fields
        best = sorted(fields["detections"], key=lambda item: -item["score"])[:MAX_DETECTIONS]
        labelled = read_labels(folder / "labels" / f"{path.stem}.txt", names, fields["origin_w"], fields["origin_h"])
        seen.append(Seen([(item["label"], item["score"], item["box"]) for item in best], labelled))
    return seen


def matches(found: Boxes, labelled: Boxes) -> list[bool]:
    """Return whether each finding of one class, best first, hits a label that no better one has taken."""
    return [bool(hit) for hit in matched(found, labelled, as_boxes([]), IOUS[:1]).hits[0]]


def ap50(seen: Sequence[Seen]) -> dict[str, float]:
    """Return AP50 of each labelled class."""
    by_class = {}
    for name in sorted({label for picture in seen for label, _ in picture.labelled}):
        scores: list[float] = []
        hits: list[bool] = []
        labels = 0
        for picture in seen:
            found = [(score, box) for label, score, box in picture.found if label == name]
            boxes = [box for label, box in picture.labelled if label == name]
            labels += len(boxes)
            scores += [score for score, _ in found]
            hits += matches(as_boxes([box for _, box in found]), as_boxes(boxes))
        by_class[name] = average_precision(scores, hits, labels)
    return by_class


def measure(folder: Path, on: Input, models: Path | None = None, **more: Any) -> dict[str, Any]:
    """Return AP50 of the line with DETECT_ON=`on` and the other settings in `more`.

    Raises ModelError where the detector is not installed.
    """
    chosen: dict[str, Any] = {"detect_min_score": MIN_SCORE, "face_min_size": NO_FACES, "blur_classes": "", **more}
    seen = look(folder, Settings(detect_on=on, models_dir=models, **chosen))
    by_class = ap50(seen)
    return {
        "on": on,
        "ap50": round(sum(by_class.values()) / max(1, len(by_class)), 4),
        "pictures": len(seen),
        "labels": sum(len(picture.labelled) for picture in seen),
        "findings": sum(len(picture.found) for picture in seen),
        "by_class": {name: round(value, 4) for name, value in by_class.items()},
    }


def main() -> int:
    """Measure each input; return 0, or 2 if models or pictures are missing."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=about)
    parser.add_argument("folder", type=Path, metavar="COCO128_FOLDER")
    parser.add_argument(
        "--model",
        default="yolox-nano",
        help="which detector: one of models/manifest.toml, or a published one of your own",
    )
    parser.add_argument("--on", nargs="+", choices=INPUTS, default=INPUTS, help="what objects are looked for in")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"), help="where models are installed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, class by class, there too")
    options = parser.parse_args()
    logs.configure(Settings(log_level="WARNING", log_format="text"), "accuracy")
    try:
        install_all({options.model} & manifest().keys(), Settings(models_dir=options.models))
        print(TABLE.format("objects in", "AP50", "pictures", "labels", "findings"))
        rows = []
        for on in options.on:
            row = measure(options.folder, on, options.models, detect_model=options.model)
            shown = f"{row['ap50']:.4f}"
            print(TABLE.format(on, shown, row["pictures"], row["labels"], row["findings"]), flush=True)
            rows.append(row)
    except (ModelError, BadDataSet, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures how often categories are right: by the detector's label, by the classifier, and by the line's rule of both.

    python -m benchmarks.categories FOLDER [--half first|second|both] [--model NAME_OR_FOLDER ...]
                                    [--cifar10 FOLDER] [--every K] [--json FILE]

FOLDER holds labelled pictures, as for `stageline evaluate`, with COCO's names. The line's own functions process them
up to the detector, and each classifier the findings (a NAME is a model in the store, a FOLDER holds one).
Categories named at the current settings are judged: an object's by the label of the largest overlap, by an IoU of at
least 0.5, and it is wrong without such a label; a whole picture's by all labels in it. `found` counts the labelled
objects of a category that the detector found; `missed` counts objects of a category, and pictures that show one, that
were not named right. Intervals are Wilson's, at 95 %. Without --half, every second picture by name is used: the rule
was chosen on the others, and "none of these" is learnt from them (models/training). With --cifar10 (a folder with
test.zip), every K-th of its test pictures is added, enlarged to 256×256.
"""

import argparse
import copy
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2

from classify_service import naming
from classify_service.batch import CropBatch, ModelsInUse, Rows
from classify_service.categories import Classifier, load_classifier
from models.training import cifar10
from stageline.core import logs
from stageline.core.errors import StagelineError
from stageline.core.settings import Settings
from stageline.evaluation import reading
from stageline.evaluation.boxes import MIN_IOU, as_boxes, overlaps
from stageline.evaluation.dataset import Label, Problems
from stageline.evaluation.naming import Counts, Judged, count, judge
from stageline.imaging import codec
from stageline.local.monolith import Monolith
from stageline.registry.card import CARD, Card, ModelFiles, read_folder
from stageline.registry.install import install
from stageline.registry.repository import open_repository
from stageline.registry.serving import Loaded

HALVES = {"first": reading.first_half, "second": reading.second_half}
DEFAULT_MODELS = ("resnet18-cifar10", "squeezenet-cifar10")
ENLARGED = 256  # pixels
DETECTOR, TRUSTED, ALONE, BOTH = "detector's label", "the same, trusted", "classifier, asked of all", "the line: both"
TEN, OVERRULED, CONTRADICTING = "the line, without none", "disagreeing: the detector", "disagreeing: classifier"
TABLE = "{:<26}{:>7}{:>7}{:>7}{:>8}   {}"
Item = dict[str, Any]
Shown = tuple[bytes, Sequence[Label], Mapping[str, str]]  # a picture's file, its labels, the category of each label


@dataclass
class CategoryTally:
    """The judged categories of a model, by way of naming, and the number of labelled objects found."""

    judged: dict[str, list[Judged]]
    found: int = 0


def photographs(folder: Path, half: str) -> Iterator[Shown]:
    """Read labelled photographs."""
    for picture in HALVES[half](folder):
        data = picture.path.read_bytes()
        info = codec.probe(data, Settings().max_image_pixels)
        yield data, picture.in_pixels(info.width, info.height, Problems()), cifar10.OF_COCO


def enlarged(folder: Path, every: int) -> Iterator[Shown]:
    """Read every `every`-th test picture of CIFAR-10, enlarged, with one label for the whole picture."""
    chosen = cifar10.load(folder, "test")
    itself = {label: label for label in cifar10.LABELS}
    for rgb, number in zip(chosen.pixels[::every], chosen.labels[::every], strict=True):
        large = cv2.resize(rgb[:, :, ::-1], (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
        _, data = cv2.imencode(".png", large)
        yield data.tobytes(), [Label(cifar10.LABELS[number], (0, 0, ENLARGED, ENLARGED))], itself


def measure(shown: Iterator[Shown], models: Sequence[ModelFiles], settings: Settings) -> dict[str, CategoryTally]:
    """Judge the categories that each model names in pictures.

    Raises:
        StagelineError: a model is no classifier, or the detector is not installed.
    """
    chain = Monolith(settings)
    loaded = {
        model.card.reference: _with_mapping(Loaded(model.card, load_classifier(model, settings)), _mapping(model.card))
        for model in models
    }
    tallies = {reference: CategoryTally({}) for reference in loaded}
    rule = naming.Rule(settings.classify_min_confidence, settings.classify_trusted_score)
    for data, labels, mapping in shown:
        fields = chain.run(data, "")[0].fields
        for reference, by in loaded.items():
            tally = tallies[reference]
            tally.found += _found(fields["detections"], labels, mapping)
            for way, named in ways(by, data, fields, rule, settings.max_image_pixels).items():
                tally.judged.setdefault(way, []).append(judge(named, labels, mapping))
    return tallies


def ways(
    by: Loaded[Classifier], data: bytes, fields: Mapping[str, Any], rule: naming.Rule, most_pixels: int
) -> dict[str, list[Item]]:
    """Return the categories of a picture in each of the compared ways."""
    detections, mapping = fields["detections"], by.value.detector_labels
    anything = _with_mapping(by, {})
    batch = CropBatch(ModelsInUse(anything), most_pixels)
    rows = batch.add(data, detections, [])
    batch.finish()
    fitting = {
        index: row
        for index, row in rows.categories.items()
        if (fields["kind"] != "face" if index is None else by.value.knows(detections[index]["label"]))
    }
    named = {
        DETECTOR: _by_detector(detections, mapping, 0.0),
        TRUSTED: _by_detector(detections, mapping, rule.trusted_score),
        ALONE: naming.categories(anything, rows, detections, rule)[0],
        BOTH: naming.categories(by, Rows(fitting), detections, rule)[0],
    }
    named |= _disagreeing(by, rows, detections)
    if by.card.labels[-1] == "":
        ten = _with_mapping(by, mapping, by.card.labels[:-1])
        shares = {index: row[:-1] / row[:-1].sum() for index, row in fitting.items()}
        named[TEN] = naming.categories(ten, Rows(shares), detections, rule)[0]
    return named


def _disagreeing(by: Loaded[Classifier], rows: Rows, detections: Sequence[Mapping[str, Any]]) -> dict[str, list[Item]]:
    """Name the objects on which classifier and detector disagree: by each of the two, without a least confidence."""
    named: dict[str, list[Item]] = {OVERRULED: [], CONTRADICTING: []}
    for index, row in rows.categories.items():
        expected = None if index is None else by.value.detector_labels.get(detections[index]["label"])
        ((category, confidence),) = by.value.best(row)
        if index is not None and expected is not None and category != expected:
            found = detections[index]
            named[OVERRULED].append(naming.item({}, expected, found["score"], found["box"]))
            named[CONTRADICTING].append(naming.item({}, category, confidence, found["box"]))
    return named


def _mapping(card: Card) -> Mapping[str, str]:
    """Return a card's mapping; for older cards, that of CIFAR-10's categories."""
    return card.detector_labels or (cifar10.OF_COCO if set(cifar10.OF_COCO.values()) <= set(card.labels) else {})


def _by_detector(detections: Sequence[Mapping[str, Any]], mapping: Mapping[str, str], least: float) -> list[Item]:
    """Name objects by the detector's labels, and the whole picture by the surest of them."""
    items = [
        naming.item({}, mapping[one["label"]], one["score"], one["box"])
        for one in detections
        if one["label"] in mapping and one["score"] >= least
    ]
    surest = max(items, key=lambda one: one["confidence"], default=None)
    return [*items, *([{**surest, "box": None}] if surest else [])]


def _with_mapping(by: Loaded[Classifier], mapping: Mapping[str, str], labels: Sequence[str] = ()) -> Loaded[Classifier]:
    """Return the same network with another mapping and, if given, other labels."""
    value = copy.copy(by.value)
    value.detector_labels, value.labels = mapping, tuple(labels or by.value.labels)
    return replace(by, value=value)


def _found(detections: Sequence[Mapping[str, Any]], labels: Sequence[Label], mapping: Mapping[str, str]) -> int:
    """Count the labelled objects of a category that a detection of any label overlaps."""
    boxes = as_boxes([label.box for label in labels if label.name in mapping and not label.crowd])
    shared = overlaps(boxes, as_boxes([one["box"] for one in detections]))
    return int((shared.max(axis=1, initial=0.0) >= MIN_IOU).sum())


def read_model(reference: str, settings: Settings) -> ModelFiles:
    """Read a model from its folder, or from the store, installing it if necessary.

    Raises:
        StagelineError: it is in neither.
    """
    if (Path(reference) / CARD).is_file():
        return read_folder(Path(reference))
    repository = open_repository(settings)
    card = install(reference, repository, settings)
    return repository.load(reference, card.version)


def _print(title: str, tally: CategoryTally) -> None:
    for what, place in (("objects", 0), ("whole pictures", 1)):
        print(f"\n{title}: {what}" + (f", {tally.found} of a category found" if place == 0 else ""))
        print(TABLE.format("named by", "named", "right", "wrong", "missed", "right of the named, 95 %"))
        for way, judged in tally.judged.items():
            counts = count(judged)[place]
            print(TABLE.format(way, counts.named, counts.right, counts.wrong, counts.missed, _share(counts)))


def _share(counts: Counts) -> str:
    interval = counts.interval
    return f"{counts.right / counts.named:.0%} ({interval.low:.0%} to {interval.high:.0%})" if interval else "–"


def _as_json(tally: CategoryTally) -> dict[str, Any]:
    figures: dict[str, Any] = {"found": tally.found}
    for way, judged in tally.judged.items():
        figures[way] = {
            what: {"named": counts.named, "right": counts.right, "missed": counts.missed}
            for what, counts in zip(("objects", "whole pictures"), count(judged), strict=True)
        }
    return figures


def main() -> int:
    """Measure each model; return 0, or 2 if models or pictures are missing."""
    options = _parser().parse_args()
    figures: dict[str, Any] = {}
    try:
        settings = Settings(models_dir=options.models, log_level="ERROR")
        logs.configure(settings, "benchmark")
        models = [read_model(reference, settings) for reference in options.model]
        halves = list(HALVES) if options.half == "both" else [options.half]
        sets = {f"{options.folder.name}, {half} half": photographs(options.folder, half) for half in halves}
        if options.cifar10:
            sets["CIFAR-10's test pictures"] = enlarged(options.cifar10, options.every)
        for name, shown in sets.items():
            for reference, tally in measure(shown, models, settings).items():
                _print(f"{reference}, {name}", tally)
                figures.setdefault(reference, {})[name] = _as_json(tally)
    except (StagelineError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.categories", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--half", choices=(*HALVES, "both"), default="second", help="of the pictures, by name")
    parser.add_argument("--model", nargs="+", default=DEFAULT_MODELS, metavar="NAME_OR_FOLDER")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"), help="where models are installed")
    parser.add_argument("--cifar10", type=Path, metavar="FOLDER", help="look at its test pictures too")
    parser.add_argument("--every", type=int, default=25, metavar="K", help="of those, every K-th (default 25)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


if __name__ == "__main__":
    sys.exit(main())

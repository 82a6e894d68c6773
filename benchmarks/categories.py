"""How often a category is right, by the least confidence that it is given from: what CLASSIFY_MIN_CONFIDENCE buys.

    python -m benchmarks.categories COCO128_FOLDER [--model NAME_OR_FOLDER ...] [--cifar10 FOLDER] [--every K]
                                    [--least-side PIXELS] [--json FILE]

The folder holds images/, labels/ and names.yaml, as for benchmarks.accuracy. Looked at are the crops of all labelled
boxes, and the whole pictures, through the very functions of the stage. Eight of CIFAR-10's ten categories have a
counterpart among COCO's classes: a category is right where it is that of the box's class; of a whole picture, that of
any class that is labelled in it. Whatever is said of the others is wrong: a network that knows ten things calls a
pizza one of them. With --cifar10 (a folder with test.zip), also every K-th of its test pictures: what a threshold costs
where all is as the network learnt it. A NAME is a model in the store, a FOLDER holds one (models/trained/…).
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy import read_labels, read_names
from classify_service.batch import Batch, Models
from classify_service.categories import Classifier, load_classifier
from models.training import cifar10
from stageline import images
from stageline.errors import StagelineError
from stageline.modelstore import Model, install, open_repository
from stageline.modelstore.card import read_folder
from stageline.serving import Loaded
from stageline.settings import Settings

COUNTERPARTS = {
    "airplane": "airplane", "bird": "bird", "boat": "ship", "car": "automobile", "cat": "cat", "dog": "dog",
    "horse": "horse", "truck": "truck",
}  # fmt: skip
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99)
MOST_PIXELS = 50_000_000
DEFAULT_MODELS = ("resnet18-cifar10", "squeezenet-cifar10")
TABLE = "{:>10} | {:>14} {:>12} | {:>14} | {:>12}"


@dataclass(frozen=True)
class Seen:
    """What was said of a crop, or of a whole picture."""

    known: bool
    """Whether it shows something that the network has a category for."""
    right: bool
    confidence: float


@dataclass(frozen=True)
class Row:
    """What a threshold lets through: of `known` + `others`, how many are named, and how many of those right."""

    least: float
    known: int
    known_named: int
    right: int
    others: int
    others_named: int

    @property
    def share_right(self) -> float:
        """Of all that are named, the share that is right."""
        return self.right / max(1, self.known_named + self.others_named)


def row(seen: Iterable[Seen], least: float) -> Row:
    """Count what is named at a threshold."""
    known = [one for one in seen if one.known]
    others = [one for one in seen if not one.known]
    named = [one for one in known if one.confidence >= least]
    right = sum(one.right for one in named)
    return Row(least, len(known), len(named), right, len(others), sum(one.confidence >= least for one in others))


def look(folder: Path, classifier: Loaded[Classifier], least_side: float) -> tuple[list[Seen], list[Seen]]:
    """Classify every labelled crop whose sides have that many pixels, and every whole picture; return both."""
    names = read_names(folder / "names.yaml")
    found_in_crops: list[Seen] = []
    found_in_pictures: list[Seen] = []
    for path in sorted((folder / "images").iterdir()):
        data = path.read_bytes()
        info = images.probe(data, MOST_PIXELS)
        labelled = read_labels(folder / "labels" / f"{path.stem}.txt", names, info.width, info.height)
        batch = Batch(Models(classifier), MOST_PIXELS)
        rows = batch.add(data, [{"box": box, "score": 1.0} for _, box in labelled], [])
        batch.finish()
        for index, probabilities in rows.categories.items():
            best = classifier.value.best(probabilities)[0]
            if index is None:
                found_in_pictures.append(_judged(best, [name for name, _ in labelled]))
            elif _shorter_side(labelled[index][1]) >= least_side:
                found_in_crops.append(_judged(best, [labelled[index][0]]))
    return found_in_crops, found_in_pictures


def look_at_cifar10(folder: Path, classifier: Classifier, every: int) -> list[Seen]:
    """Classify every so-manieth test picture of CIFAR-10."""
    chosen = cifar10.load(folder, "test")
    crops = list(np.ascontiguousarray(chosen.pixels[::every, :, :, ::-1]))
    best = [classifier.best(row)[0] for row in classifier.classify(crops)]
    truths = [cifar10.LABELS[label] for label in chosen.labels[::every]]
    return [
        Seen(known=True, right=name == truth, confidence=sure) for (name, sure), truth in zip(best, truths, strict=True)
    ]


def _judged(best: tuple[str, float], shown: Sequence[str]) -> Seen:
    truths = {COUNTERPARTS[name] for name in shown if name in COUNTERPARTS}
    return Seen(bool(truths), best[0] in truths, best[1])


def _shorter_side(box: Sequence[float]) -> float:
    return min(box[2] - box[0], box[3] - box[1])


def read_model(reference: str, settings: Settings) -> Model:
    """Read a model from its folder, or from the store, where it is installed if it was not.

    Raises:
        StagelineError: it is in neither.
    """
    if Path(reference).is_dir():
        return read_folder(Path(reference))
    repository = open_repository(settings)
    card = install(reference, repository, settings)
    return repository.load(reference, card.version)


def measure(
    folder: Path,
    model: Model,
    settings: Settings,
    least_side: float = 0.0,
    cifar10_every: tuple[Path, int] | None = None,
) -> Mapping[str, Sequence[Row]]:
    """Measure a model at every threshold, on crops, on whole pictures, and on CIFAR-10's where a folder is given.

    Raises:
        StagelineError: the model is no classifier.
    """
    classifier = load_classifier(model, settings)
    crops, pictures = look(folder, Loaded(model.card, classifier), least_side)
    seen = {"crops": crops, "whole pictures": pictures}
    if cifar10_every:
        seen["CIFAR-10's test pictures"] = look_at_cifar10(cifar10_every[0], classifier, cifar10_every[1])
    return {what: [row(some, least) for least in THRESHOLDS] for what, some in seen.items()}


def _print(what: str, rows: Sequence[Row]) -> None:
    known, others = rows[0].known, rows[0].others
    print(f"\n{what}: {known} that show one of the categories, {others} that do not")
    print(TABLE.format("confidence", "known, named", "of them right", "others, named", "right of all"))
    for one in rows:
        print(
            TABLE.format(
                f"≥ {one.least:.2f}",
                f"{one.known_named} ({_share(one.known_named, known)})",
                _share(one.right, one.known_named),
                f"{one.others_named} ({_share(one.others_named, others)})",
                f"{one.share_right:.0%}",
            )
        )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def main() -> int:
    """Measure each model; 0, or 2 where models or pictures are missing."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.categories", description=about)
    parser.add_argument("folder", type=Path, metavar="COCO128_FOLDER")
    parser.add_argument("--model", nargs="+", default=DEFAULT_MODELS, metavar="NAME_OR_FOLDER")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"), help="where models are installed")
    parser.add_argument("--least-side", type=float, default=0.0, metavar="PIXELS", help="of a crop that is counted")
    parser.add_argument("--cifar10", type=Path, metavar="FOLDER", help="look at its test pictures too")
    parser.add_argument("--every", type=int, default=5, metavar="K", help="of those, every K-th (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    figures = {}
    try:
        settings = Settings(models_dir=options.models)
        for model in [read_model(reference, settings) for reference in options.model]:
            more = (options.cifar10, options.every) if options.cifar10 else None
            found = measure(options.folder, model, settings, options.least_side, more)
            for what, rows in found.items():
                _print(f"{model.card.reference}, {what}", rows)
            figures[model.card.reference] = {what: [asdict(one) for one in rows] for what, rows in found.items()}
    except (StagelineError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

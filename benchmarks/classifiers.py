"""Measures the accuracy of the networks that this project trained, from their committed ONNX files, without torch.

    python -m benchmarks.classifiers CIFAR10_FOLDER [--models FOLDER] [--device D] [--precision P] [--threads N]
                                    [--every K] [--json FILE]

The folder holds test.zip (test/<class>/<n>.jpg). Each model of models/trained is run by the runtime that its card
names, as a worker runs it. ECE is the expected calibration error in 15 bins (Guo et al. 2017). The command fails where
an accuracy over all pictures is not within 0.2 points of the one that the card states.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.training import cifar10, trained
from models.training.cifar10 import TrainingPictures
from stageline.core.errors import StagelineError
from stageline.inference import Options, open_network
from stageline.registry.card import ModelFiles

MAX_OFF = 0.002  # of the accuracy in the card: the possible loss by half precision
TABLE = "{:<24}{:>9}{:>10}{:>11}{:>8}{:>8}{:>12}  {}"


def stated_accuracy(model: ModelFiles) -> float:
    """Return the accuracy in a card, 0..1; NaN without one."""
    return next((figure.value for figure in model.card.accuracy if figure.metric == "accuracy"), float("nan"))


def measure(model: ModelFiles, pictures: TrainingPictures, options: Options) -> dict[str, Any]:
    """Classify the pictures by the card's runtime; return the figures of the table's row."""
    network = open_network(model.network, model.card.reference, options, model.card.cpu_runtime)
    measured = trained.measure(network, pictures)
    return {
        "model": model.card.reference,
        "pictures": len(pictures),
        "accuracy": round(measured.accuracy, 4),
        "card": stated_accuracy(model),
        "ece": round(measured.calibration_error, 4),
        "megabytes": round(len(model.network) / 1e6, 1),
        "ms_per_picture": round(measured.milliseconds, 2),
        "runtime": network.where,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row per model; return 0, 1 if an accuracy differs from its card, 2 if models or pictures are missing."""
    options = _parser().parse_args(arguments)
    try:
        rows = _measure_all(options)
    except (StagelineError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    off = [row["model"] for row in rows if options.every == 1 and not abs(row["accuracy"] - row["card"]) <= MAX_OFF]
    if off:
        print(f"not what the card says: {', '.join(off)}", file=sys.stderr)
    return 1 if off else 0


def _measure_all(options: argparse.Namespace) -> list[dict[str, Any]]:
    models = list(trained.versions(root=options.models))
    if not models:
        raise FileNotFoundError(f"{options.models} holds no models: python -m models.training makes them")
    pictures = cifar10.load(options.folder, "test")
    pictures = pictures.take(np.arange(0, len(pictures), options.every))
    print(TABLE.format("model", "pictures", "accuracy", "card says", "ECE", "MB", "ms/picture", "runtime"))
    rows = []
    for model in models:
        row = measure(model, pictures, Options(options.device, options.threads, options.precision))
        shown = {key: f"{row[key]:.2%}" for key in ("accuracy", "card")}
        print(TABLE.format(*(row | shown).values()), flush=True)
        rows.append(row)
    return rows


def _parser() -> argparse.ArgumentParser:
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.classifiers", description=about)
    parser.add_argument("folder", type=Path, metavar="CIFAR10_FOLDER")
    parser.add_argument("--models", type=Path, default=trained.TRAINED, help="holds NAME/VERSION/model.onnx")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32"))
    parser.add_argument("--threads", type=int, default=1, help="cores, on a CPU")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only every K-th picture")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser


if __name__ == "__main__":
    sys.exit(main())

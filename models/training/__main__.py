"""``python -m models.training NAME``: train one of the networks of recipes.toml; run it again to resume."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from models.training import cifar10, outliers, recipe, trained
from models.training.finish import Pieces, finish
from models.training.train import train
from stageline.cli.common import note, say
from stageline.core import settings
from stageline.core.errors import ModelError, StagelineError
from stageline.registry.repository import open_repository


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, from the last checkpoint if there is one, and finish; return 0, or 2 if something is missing."""
    given = _parser().parse_args(arguments)
    try:
        _run(given)
    except (StagelineError, OSError) as error:
        note(str(error))
        return 2
    except KeyboardInterrupt:
        note("stopped; the same command goes on after the last whole epoch")
        return 130
    return 0


def _run(given: argparse.Namespace) -> None:
    if given.threads:
        torch.set_num_threads(given.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = recipe.load(given.name, device, given.epochs)
    folder = given.out / given.name / (given.version or trained.next_version(given.name, given.out))
    if folder.exists():
        raise FileExistsError(f"{folder} is there already, and a version never changes: give another --version")
    _must_have_outliers(given, found)
    learn, held_out = cifar10.hold_out(cifar10.load(given.data, "train"))
    none = outliers.made_of(given.outliers, learn, found.seed) if found.outlier_share else None
    pieces = Pieces(learn, held_out, cifar10.load(given.data, "test"), none)
    run = train(found, learn, held_out, given.runs / f"{given.name}-{device}", device, none.learn if none else None)
    model = finish(run, found, pieces, device, folder)
    shown = "; ".join(f"{figure.metric} {figure.value:.4f}" for figure in model.card.accuracy)
    say(f"{model.card.reference} is in {folder.parent}, with its report: {shown}")
    if given.publish:
        open_repository(settings.load()).publish(model)
        say(f"it is published; stageline models promote {model.card.reference} serves it")


def _must_have_outliers(given: argparse.Namespace, found: recipe.Recipe) -> None:
    """See that photographs are given where the recipe has a share of outliers, before anything is loaded.

    Raises:
        ModelError: there are none.
    """
    if found.outlier_share and given.outliers is None:
        raise ModelError(
            f'{given.name} learns "none of these" from labelled photographs: give them by --outliers COCO_FOLDER '
            "(docs/training.md)"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    parser.add_argument("name", choices=recipe.names())
    parser.add_argument("--data", type=Path, required=True, help="has train.zip and test.zip, or is downloaded to")
    parser.add_argument("--outliers", type=Path, help="photographs labelled as COCO's: images/, labels/, names.yaml")
    parser.add_argument("--runs", type=Path, default=Path("training-runs"), help="where checkpoints are kept")
    parser.add_argument("--out", type=Path, default=trained.TRAINED, help="where the model is put: NAME/VERSION/")
    parser.add_argument("--version", help="of the model; the next whole number, if not given")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, help="of the CPU; as many as it has cores, if not given")
    parser.add_argument("--publish", action="store_true", help="publish it into the model store, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())

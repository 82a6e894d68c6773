"""Reads a folder of labelled pictures, of either format."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stageline.evaluation import coco, yolo
from stageline.evaluation.dataset import MAX_NAMED, BadDataSet, DataSet, LabelledPicture, files_below

SEED = 0  # each call draws the same sample


def read(folder: Path, annotations: Path | None = None) -> DataSet:
    """Read a COCO JSON and its pictures, or pictures with YOLO labels.

    Args:
        folder: where the pictures are, at any depth.
        annotations: the COCO JSON, or the file of YOLO's class names; None: search the folder.

    Raises:
        BadDataSet: the folder has neither, or it cannot be used; the text says what to do.
    """
    if not folder.is_dir():
        raise BadDataSet(f"{folder} is no folder; name one with a COCO JSON, or with images/, labels/ and names.yaml")
    if annotations is not None and not annotations.is_file():
        raise BadDataSet(f"--annotations {annotations}: there is no such file")
    files = files_below(folder)
    if annotations is not None and annotations.suffix.lower() != ".json":
        return yolo.read(folder, files, annotations)
    annotations, refused = (annotations, []) if annotations else coco.find(files)
    if annotations:
        found = coco.read(folder, annotations, files)
        for why in refused:
            found.problems.note("JSON file that was not taken", why)
        return found
    try:
        return yolo.read(folder, files)
    except BadDataSet as error:
        raise BadDataSet("; ".join([str(error), *_shortened(refused)])) from None


def sample(found: DataSet, limit: int | None) -> DataSet:
    """Return a data set of at most `limit` pictures, drawn at random, the same ones each time, in their order.

    It keeps the problems of these pictures, and those of no known picture.
    """
    if limit is None or limit >= len(found.pictures):
        return found
    numbers: Sequence[int] = sorted(random.Random(SEED).sample(range(len(found.pictures)), limit))  # noqa: S311
    pictures = [found.pictures[number] for number in numbers]
    return replace(found, pictures=pictures, problems=found.problems.of({picture.path for picture in pictures}))


def first_half(folder: Path) -> list[LabelledPicture]:
    """Return every second picture of a data set, by name: the half to fit on."""
    return _by_name(folder)[::2]


def second_half(folder: Path) -> list[LabelledPicture]:
    """Return the other half: the pictures to judge on."""
    return _by_name(folder)[1::2]


def _by_name(folder: Path) -> list[LabelledPicture]:
    return sorted(read(folder).pictures, key=lambda picture: picture.path.name)


def _shortened(refused: Sequence[str]) -> list[str]:
    """Return the first few reasons, and the number of further ones."""
    more = len(refused) - MAX_NAMED
    return [*refused[:MAX_NAMED], *([f"{more} more JSON files were not taken either"] if more > 0 else [])]

"""Reading a folder of labelled pictures, whichever of both kinds it is."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stageline.evaluation import coco, yolo
from stageline.evaluation.dataset import BadDataSet, DataSet, files_below

SEED = 0  # a sample is the same at each call


def read(folder: Path, annotations: Path | None = None) -> DataSet:
    """Read a COCO JSON and its pictures, or pictures with YOLO labels.

    Args:
        folder: where the pictures are, at any depth.
        annotations: the COCO JSON, or the file with the names of YOLO's classes; without, looked for in the folder.

    Raises:
        BadDataSet: there is neither, or it cannot be used; the text says what to do.
    """
    if not folder.is_dir():
        raise BadDataSet(f"{folder} is no folder; name one with a COCO JSON, or with images/, labels/ and names.yaml")
    if annotations is not None and not annotations.is_file():
        raise BadDataSet(f"--annotations {annotations}: there is no such file")
    files = files_below(folder)
    if annotations is not None and annotations.suffix.lower() != ".json":
        return yolo.read(folder, files, annotations)
    annotations = annotations or coco.find(files)
    return coco.read(folder, annotations, files) if annotations else yolo.read(folder, files)


def sample(found: DataSet, limit: int | None) -> DataSet:
    """Return at most that many pictures, drawn by chance, the same ones each time, in their order."""
    if limit is None or limit >= len(found.pictures):
        return found
    numbers: Sequence[int] = sorted(random.Random(SEED).sample(range(len(found.pictures)), limit))  # noqa: S311
    return replace(found, pictures=[found.pictures[number] for number in numbers])

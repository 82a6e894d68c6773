"""YOLO labels: a text file per picture, a line per object: class cx cy w h, as fractions of the picture."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from stageline.evaluation.class_names import NAME_FILES, read_names, read_yaml, scalar, text_of
from stageline.evaluation.dataset import BadDataSet, DataSet, Label, LabelledPicture, Problems, is_box
from stageline.imaging.codec import ENDINGS

NUMBERS = 5  # per line: the class and its box; more are the corners of an outline
FURTHEST = 0.5  # of the picture's side: a coordinate further outside is no fraction of the side


def read(folder: Path, files: Sequence[Path], names_file: Path | None = None) -> DataSet:
    """Read a folder whose pictures have labels in labels/ beside images/, or beside the pictures.

    If data.yaml or a folder images/val marks pictures for validation, only those are read.

    Args:
        folder: the data set.
        files: all its files.
        names_file: the file of the class names; None: search for it.

    Raises:
        BadDataSet: there are no names, no pictures, or no labels.
    """
    names_file = names_file or _names_file(folder, files)
    names = read_names(names_file)
    pictures = _for_validation([path for path in files if path.suffix.lower() in ENDINGS], folder, names_file)
    if not pictures:
        raise BadDataSet(f"{folder} holds no pictures: they lie in images/, and end in {', '.join(ENDINGS)}")
    problems = Problems()
    taken: list[LabelledPicture] = []
    used = set()
    for path in pictures:
        labels_file = _labels_of(path)
        used.add(labels_file)
        where = _shown(labels_file, folder)
        if not labels_file.is_file():
            kind = "picture without a file of labels, taken to show nothing"
            problems.note(kind, _shown(path, folder), picture=path)
        labels = read_labels(labels_file, names, problems, where, path)
        taken.append(LabelledPicture(path, labels, f"{where}, line", relative=True))
    for path in _orphans(files, used):
        problems.note("file of labels without a picture, left out", _shown(path, folder), picture=path)
    if not any(picture.labels for picture in taken):
        raise BadDataSet(f"no label in {folder} can be used; {_why(problems) or 'labels/ has none'}")
    part = os.path.commonpath([path.parent for path in pictures])
    return DataSet("YOLO labels", part, list(dict.fromkeys(names.values())), taken, problems)


def read_labels(
    path: Path, names: Mapping[int, str], problems: Problems, where: str, picture: Path | None = None
) -> list[Label]:
    """Read a file of labels, boxes as fractions of the picture; empty if there is no file. Bad lines are noted."""
    if not path.exists():
        return []
    try:
        lines = text_of(path).splitlines()
    except BadDataSet as error:
        problems.note("file of labels that cannot be read", str(error), picture=picture, fault=True)
        return []
    labels = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            name, box = _label(line.split(), names)
        except ValueError as error:
            place = f"{where}, line {number}: {error}"
            problems.note("line that is no label, left out", place, picture=picture, fault=True)
            continue
        labels.append(Label(name, box, number=number))
    return labels


def _label(words: Sequence[str], names: Mapping[int, str]) -> tuple[str, tuple[float, float, float, float]]:
    """Read one line.

    Raises:
        ValueError: the line is no label; the text says why.
    """
    try:
        number, *values = map(float, words)
    except ValueError:
        raise ValueError("it must hold numbers only: class cx cy w h") from None
    if len(words) < NUMBERS or len(words) % 2 == 0:
        raise ValueError(
            f"it has {len(words)} numbers; a label has {NUMBERS}: class cx cy w h (or an outline's corners)"
        )
    if not all(math.isfinite(value) and -FURTHEST <= value <= 1 + FURTHEST for value in values):
        raise ValueError("its box must be shares of the picture, 0 to 1, not pixels")
    if number not in names:
        raise ValueError(f"class {number:g} is none of the {len(names)} that are named")
    if len(words) == NUMBERS:
        x, y, w, h = values
        box = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    else:
        across, down = values[::2], values[1::2]
        box = min(across), min(down), max(across), max(down)
    if not is_box(box):
        raise ValueError("its box has no area")
    return names[int(number)], box


def _names_file(folder: Path, files: Sequence[Path]) -> Path:
    below = sorted({path.parent for path in files if path.name.lower() in NAME_FILES}, key=lambda path: len(path.parts))
    for place in (folder, *below, *_above(folder)):
        for name in NAME_FILES:
            if (place / name).is_file():
                return place / name
    raise BadDataSet(
        f"{folder} holds neither a COCO JSON nor the names of YOLO's classes: put names.yaml, data.yaml or classes.txt "
        "there, or name the file with --annotations"
    )


def _above(folder: Path) -> list[Path]:
    """Return the parent folders that may have the names: those of images/ or its parts; that of valid/ with images/."""
    whole = folder.absolute()
    if (folder / "images").is_dir():
        return [whole.parent]
    within = [place for place in (whole, *whole.parents) if place.name == "images"]
    return list(within[0].parents)[:2] if within else []


def _for_validation(pictures: Sequence[Path], folder: Path, names_file: Path) -> list[Path]:
    """Return the pictures that data.yaml marks for validation, or those in a folder val…; all if there are none."""
    if names_file.suffix.lower() in (".yaml", ".yml"):
        yaml = read_yaml(names_file)
        for part in map(scalar, yaml.get("val", [])):
            for root in (names_file.parent, *(names_file.parent / scalar(path) for path in yaml.get("path", []))):
                within = (root / part).resolve()
                chosen = [path for path in pictures if within in path.resolve().parents]
                if chosen:
                    return chosen
    chosen = [path for path in pictures if any(name.startswith("val") for name in path.relative_to(folder).parts[:-1])]
    return chosen or list(pictures)


def _labels_of(picture: Path) -> Path:
    """Return the path of a picture's labels by Ultralytics' rule: the last images/ becomes labels/; else beside it."""
    parts = list(picture.absolute().parts)
    for place in range(len(parts) - 2, 0, -1):
        if parts[place] == "images":
            swapped = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
            beside = picture.absolute().with_suffix(".txt")
            return beside if beside.is_file() and not swapped.is_file() else swapped
    return picture.absolute().with_suffix(".txt")


def _orphans(files: Sequence[Path], used: set[Path]) -> list[Path]:
    """Return the files of labels that belong to no picture."""
    places = {path.parent for path in used}
    texts = [path.absolute() for path in files if path.suffix == ".txt" and path.name.lower() not in NAME_FILES]
    return [path for path in texts if path.parent in places and path not in used]


def _shown(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder)


def _why(problems: Problems) -> str:
    return "; ".join(problems.sentences())

"""COCO JSON: one file with `images`, `annotations` (bbox: x, y, width, height in pixels) and `categories`."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from stageline.evaluation.class_names import NAME_FILES
from stageline.evaluation.dataset import BadDataSet, DataSet, Label, LabelledPicture, Problems, is_box

PARTS = ("images", "annotations", "categories")
MAX_TRIED = 16  # candidate files that are opened
Content = Mapping[str, Sequence[Any]]


def find(files: Sequence[Path]) -> tuple[Path | None, list[str]]:
    """Find the only COCO JSON among files; None if there is none, and the reason for each rejected candidate.

    Raises:
        BadDataSet: there are several, or the only candidate cannot be read.
    """
    every = [path for path in files if path.suffix.lower() == ".json"]
    named = [path for path in every if path.name.startswith("instances") or path.name.endswith(".coco.json")]
    pool = named or [path for path in every if path.parent.name == "annotations"] or every
    if len(pool) > 1:
        pool = [path for path in pool if path.name.startswith("instances_val") or path.parent.name == "valid"] or pool
    yolo = any(path.name.lower() in NAME_FILES for path in files)
    if len(pool) == 1 and (named or (pool[0].parent.name == "annotations" and not yolo)):
        return pool[0], []
    good, refused = [], []
    for path in pool[:MAX_TRIED]:
        try:
            content(path)
        except BadDataSet as error:
            refused.append(str(error))
        else:
            good.append(path)
    refused += [f"{path} was not looked into" for path in pool[MAX_TRIED:]]
    if len(good) > 1:
        listed = ", ".join(map(str, good))
        raise BadDataSet(f"there are several COCO JSON files: {listed}; choose one with --annotations")
    return (good[0] if good else None), refused


def read(folder: Path, annotations: Path, files: Sequence[Path]) -> DataSet:
    """Read a COCO JSON whose pictures are anywhere in the folder.

    Raises:
        BadDataSet: the file is no COCO JSON, or none of its pictures exists.
    """
    found = content(annotations)
    problems = Problems()
    name = annotations.name
    classes = _classes(found["categories"], name)
    listed = _images(found["images"], name, problems)
    where = _Where(files, annotations)
    there = {number: where.is_(image["file_name"]) for number, image in listed.items()}
    paths = {number: path or _named(listed[number]) for number, (path, _) in there.items()}
    labels = _labels(found["annotations"], classes, paths, name, problems)
    pictures = []
    for number in sorted(listed, key=lambda number: (isinstance(number, str), number)):
        image, (path, why) = listed[number], there[number]
        if path is None:
            problems.note(f"picture that {name} lists, {why}", image["file_name"], picture=paths[number])
            continue
        size = _size(image)
        pictures.append(LabelledPicture(path, labels[number], f"{name}, annotation", size=size))
    if not pictures:
        raise BadDataSet(f"none of the {len(listed)} pictures that {annotations} lists is in {folder}")
    if not any(picture.labels for picture in pictures):
        why = "; ".join(problems.sentences())
        raise BadDataSet(f"{annotations} labels nothing in the pictures that are there{f' ({why})' if why else ''}")
    return DataSet("COCO JSON", str(annotations), list(dict.fromkeys(classes.values())), pictures, problems)


def content(path: Path) -> Content:
    """Read the file, and check that it has its three parts.

    Raises:
        BadDataSet: a part is missing, or the file cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise BadDataSet(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BadDataSet(f"{path} is no JSON: {error}") from None
    lacking = [part for part in PARTS if not (isinstance(found, dict) and isinstance(found.get(part), list))]
    if lacking:
        raise BadDataSet(f"{path} is no COCO JSON of objects: it has no list {', no list '.join(lacking)}")
    return {part: found[part] for part in PARTS}


def _classes(categories: Sequence[Any], name: str) -> dict[int | str, str]:
    classes = {}
    for place, one in enumerate(categories):
        if not isinstance(one, dict) or not _is_id(one.get("id")) or not isinstance(one.get("name"), str):
            raise BadDataSet(f"{name}: categories[{place}] needs an id and a name")
        classes[one["id"]] = one["name"]
    if not classes:
        raise BadDataSet(f"{name} has no categories")
    return classes


def _images(images: Sequence[Any], name: str, problems: Problems) -> dict[int | str, Mapping[str, Any]]:
    listed: dict[int | str, Mapping[str, Any]] = {}
    for place, one in enumerate(images):
        where = f"{name}, images[{place}]"
        if not isinstance(one, dict) or not _is_id(one.get("id")) or not isinstance(one.get("file_name"), str):
            problems.note("picture without an id and a file_name, left out", where, fault=True)
        elif one["id"] in listed:
            problems.note("picture whose id another one has, left out", where, picture=_named(one), fault=True)
        else:
            listed[one["id"]] = one
    return listed


def _labels(
    annotations: Sequence[Any],
    classes: Mapping[int | str, str],
    paths: Mapping[int | str, Path],
    name: str,
    problems: Problems,
) -> Mapping[int | str, list[Label]]:
    labels: Mapping[int | str, list[Label]] = defaultdict(list)
    for place, one in enumerate(annotations):
        number = one.get("id", f"[{place}]") if isinstance(one, dict) else f"[{place}]"
        where = f"{name}, annotation {number}"
        if not isinstance(one, dict) or not _is_id(one.get("image_id")) or one["image_id"] not in paths:
            problems.note("annotation of a picture that is not listed, left out", where, fault=True)
        elif not _is_id(one.get("category_id")) or one["category_id"] not in classes:
            kind = "annotation of a category that is not listed, left out"
            problems.note(kind, where, picture=paths[one["image_id"]], fault=True)
        elif (box := _box(one.get("bbox"))) is None:
            kind = "annotation whose bbox is not x, y, width, height with an area, left out"
            problems.note(kind, where, picture=paths[one["image_id"]], fault=True)
        else:
            crowd = bool(one.get("iscrowd"))
            labels[one["image_id"]].append(Label(classes[one["category_id"]], box, crowd, number))
    return labels


def _named(image: Mapping[str, Any]) -> Path:
    """Return the path of a picture in the file; it need not exist."""
    return Path(image["file_name"])


def _box(bbox: object) -> tuple[float, float, float, float] | None:
    if not isinstance(bbox, list) or len(bbox) != 4:  # noqa: PLR2004
        return None
    if not all(isinstance(edge, int | float) and not isinstance(edge, bool) for edge in bbox):
        return None
    try:
        x, y, width, height = map(float, bbox)
    except OverflowError:
        return None
    box = x, y, x + width, y + height
    return box if is_box(box) else None


def _is_id(number: object) -> bool:
    return isinstance(number, int | str) and not isinstance(number, bool)


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


class _Where:
    """Finds pictures by their path in the file, else by their name if only one file has it."""

    def __init__(self, files: Sequence[Path], annotations: Path) -> None:
        self._beside = annotations.absolute().parent
        self._of: dict[str, list[Path]] = defaultdict(list)
        for path in files:
            self._of[path.name].append(path)

    def is_(self, file_name: str) -> tuple[Path | None, str]:
        """Return the picture's path, or None and the reason."""
        stated = PurePosixPath(file_name.replace("\\", "/"))
        candidates = self._of.get(stated.name, [])
        exact = [path for path in candidates if path.parts[-len(stated.parts) :] == stated.parts] or candidates
        if len(exact) > 1:
            exact = [path for path in exact if path.absolute().parent == self._beside] or exact
        if len(exact) == 1:
            return exact[0], ""
        return None, "of whose name there are several" if exact else "which is not there"

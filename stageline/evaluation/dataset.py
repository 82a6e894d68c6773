"""A labelled data set of any format, and the problems found in it."""

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from stageline.core.errors import StagelineError

Box = tuple[float, float, float, float]  # x1, y1, x2, y2
MAX_NAMED = 3
BEYOND = 1.0  # pixels by which a label may exceed its picture: labelling tools round


class BadDataSet(StagelineError):
    """A folder has no labelled pictures that can be evaluated; the text says why and what to do."""


@dataclass(frozen=True)
class Label:
    """A labelled object: its class, its box, and whether it is a crowd, a region of many objects."""

    name: str
    box: Box
    crowd: bool = False
    number: int | str = 0
    """The number of the line, or of the annotation."""


class DataSetProblem(NamedTuple):
    """A problem with a picture or a label."""

    kind: str
    where: str
    fault: bool
    """Whether a given picture or label could not be read."""
    picture: Path | None
    """The picture that it is about; None if it is about no picture, or an unknown one."""


@dataclass
class Problems:
    """The problems of a data set."""

    found: list[DataSetProblem] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """The number of faults: given pictures and labels that could not be read."""
        return sum(one.fault for one in self.found)

    def note(self, kind: str, where: str, *, picture: Path | None = None, fault: bool = False) -> None:
        """Add a problem; see `DataSetProblem`."""
        self.found.append(DataSetProblem(kind, where, fault, picture))

    def of(self, pictures: Collection[Path]) -> "Problems":
        """Return the problems of these pictures, and those of no known picture."""
        return Problems([one for one in self.found if one.picture is None or one.picture in pictures])

    def sentences(self) -> list[str]:
        """Return each kind with its count and first places: ``2 × no such class: a.txt, line 3: …; …``."""
        places: dict[str, list[str]] = {}
        for one in self.found:
            places.setdefault(one.kind, []).append(one.where)
        return [
            f"{len(where)} × {kind}: {'; '.join(where[:MAX_NAMED])}{'; …' if len(where) > MAX_NAMED else ''}"
            for kind, where in places.items()
        ]


@dataclass(frozen=True)
class LabelledPicture:
    """A picture and its labels."""

    path: Path
    labels: Sequence[Label]
    source: str
    """The file of the labels, and the unit of their numbers: ``labels/a.txt, line``."""
    relative: bool = False
    """Whether boxes are shares of the picture's sides instead of pixels."""
    size: tuple[int, int] | None = None
    """Width and height, if the data set has them."""

    def in_pixels(self, width: int, height: int, problems: Problems) -> list[Label]:
        """Return the labels in pixels of the upright picture; parts outside it are cut off, and noted."""
        found = []
        for label in self.labels:
            box = label.box
            if self.relative:
                box = box[0] * width, box[1] * height, box[2] * width, box[3] * height
            x1, y1, x2, y2 = box
            if min(x1, y1, width - x2, height - y2) < -BEYOND:
                where = f"{self.source} {label.number}"
                box = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
                if box[0] >= box[2] or box[1] >= box[3]:
                    problems.note("label outside its picture, left out", where, picture=self.path)
                    continue
                kind = "label that reaches out of its picture, cut at the edge"
                problems.note(kind, where, picture=self.path)
            found.append(replace(label, box=box))
        return found


@dataclass(frozen=True)
class DataSet:
    """Labelled pictures."""

    kind: str
    """``COCO JSON`` or ``YOLO labels``."""
    source: str
    """The file or folder that it was read from."""
    classes: Sequence[str]
    pictures: Sequence[LabelledPicture]
    problems: Problems


def is_box(box: Sequence[object]) -> bool:
    """Return whether these are four finite numbers, the last two greater than the first two."""
    numbers = [edge for edge in box if isinstance(edge, int | float) and not isinstance(edge, bool)]
    if len(numbers) != 4 or len(box) != 4 or not all(map(math.isfinite, numbers)):  # noqa: PLR2004
        return False
    return numbers[0] < numbers[2] and numbers[1] < numbers[3]


def files_below(folder: Path) -> list[Path]:
    """Return all regular files below a folder, sorted; each folder is read once, even if links lead to it.

    Raises:
        BadDataSet: one of the folders cannot be read.
    """
    found, seen = [], set()
    for top, folders, names in os.walk(folder, followlinks=True, onerror=_unreadable):
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        found += [Path(top, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def _unreadable(error: OSError) -> None:
    raise BadDataSet(f"{error.filename} cannot be read: {error.strerror}")


@lru_cache(maxsize=10_000)
def same(name: str) -> str:
    """Return a normal form of a class name: case, ``_``, ``-`` and blanks do not count."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def known_as(classes: Sequence[str], labels: Sequence[str]) -> Mapping[str, str]:
    """Return the detector's label of each class; unknown classes are left out."""
    known = {same(label): label for label in reversed(labels) if label}
    return {name: known[same(name)] for name in classes if same(name) in known}

"""What a labelled data set is, whatever it was read from, and what was wrong with it."""

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
BEYOND = 1.0  # pixels by which a label may reach out of its picture: labelling tools round


class BadDataSet(StagelineError):
    """A folder holds no labelled pictures that can be evaluated; the text says what is wrong and what to do."""


@dataclass(frozen=True)
class Label:
    """An object that is labelled: its class, its box, and whether it is a crowd, a region of many."""

    name: str
    box: Box
    crowd: bool = False
    number: int | str = 0
    """Of the line, or of the annotation."""


class DataSetProblem(NamedTuple):
    """Something that could not be taken as it is."""

    kind: str
    where: str
    fault: bool
    """Whether it is a picture or a label that was given and could not be read."""
    picture: Path | None
    """That it is about; None: about none, or nobody knows which."""


@dataclass
class Problems:
    """What could not be taken as it is."""

    found: list[DataSetProblem] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many of them are faults: a picture or a label that was given and could not be read."""
        return sum(one.fault for one in self.found)

    def note(self, kind: str, where: str, *, picture: Path | None = None, fault: bool = False) -> None:
        """Keep a problem; see `Problem`."""
        self.found.append(DataSetProblem(kind, where, fault, picture))

    def of(self, pictures: Collection[Path]) -> "Problems":
        """Return those of these pictures, and those of no picture that is known."""
        return Problems([one for one in self.found if one.picture is None or one.picture in pictures])

    def sentences(self) -> list[str]:
        """Each kind with its count and first places, as ``2 × no such class: a.txt, line 3: …; …``."""
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
    """Names the file of the labels, and what their numbers count: ``labels/a.txt, line``."""
    relative: bool = False
    """Whether boxes are shares of the picture's sides instead of pixels."""
    size: tuple[int, int] | None = None
    """Width and height, where the data set tells them."""

    def in_pixels(self, width: int, height: int, problems: Problems) -> list[Label]:
        """Return the labels in pixels of the picture, upright; what reaches out of it is cut off, and noted."""
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
    """What it was read from, for people."""
    classes: Sequence[str]
    pictures: Sequence[LabelledPicture]
    problems: Problems


def is_box(box: Sequence[object]) -> bool:
    """Whether these are four finite numbers, whose second two lie beyond the first."""
    numbers = [edge for edge in box if isinstance(edge, int | float) and not isinstance(edge, bool)]
    if len(numbers) != 4 or len(box) != 4 or not all(map(math.isfinite, numbers)):  # noqa: PLR2004
        return False
    return numbers[0] < numbers[2] and numbers[1] < numbers[3]


def files_below(folder: Path) -> list[Path]:
    """All regular files of a folder and of those below it, each folder once, however many links lead to it; sorted.

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
    """Return what two names of one class have in common: capitals, ``_``, ``-`` and blanks do not count."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def known_as(classes: Sequence[str], labels: Sequence[str]) -> Mapping[str, str]:
    """Return for each class the detector's label of it; the classes that it does not know are not there."""
    known = {same(label): label for label in reversed(labels) if label}
    return {name: known[same(name)] for name in classes if same(name) in known}

"""Judges named categories by the labels, separately for objects and whole pictures."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stageline.evaluation.boxes import MIN_IOU, as_boxes, covered, overlaps
from stageline.evaluation.dataset import Label
from stageline.evaluation.intervals import Interval, wilson


@dataclass(frozen=True)
class Verdict:
    """The verdict on one named category."""

    whole: bool
    """Whether the category is that of the whole picture."""
    right: bool
    confidence: float
    category: str = ""


@dataclass(frozen=True)
class Judged:
    """The verdicts on one picture."""

    verdicts: Sequence[Verdict]
    objects: int
    """The number of labelled objects with a category: the most that can be named right."""
    picture: bool
    """Whether any label in the picture has a category."""

    def only(self, categories: Collection[str]) -> "Judged":
        """Return the verdicts on these categories."""
        return replace(self, verdicts=[verdict for verdict in self.verdicts if verdict.category in categories])


@dataclass(frozen=True)
class Counts:
    """The numbers of categories that were named, named right, and missed: present but not named right."""

    named: int = 0
    right: int = 0
    missed: int = 0

    @property
    def wrong(self) -> int:
        """The number of wrong names."""
        return self.named - self.right

    @property
    def interval(self) -> Interval | None:
        """The interval of the share of right names, by Wilson, at 95 %; None if nothing was named."""
        return wilson(self.right, self.named)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.named + other.named, self.right + other.right, self.missed + other.missed)


def judge(categories: Iterable[Mapping[str, Any]], labels: Sequence[Label], mapping: Mapping[str, str]) -> Judged:
    """Judge the categories of one picture by its labels.

    An object is matched with the label of the largest overlap, by an IoU of at least 0.5; each label is matched once,
    surest objects first. An object's category is right if its label's class maps to it, and wrong without such a label.
    Objects in a crowd region are not judged. A whole picture's category is right if the class of any label maps to it.

    Args:
        categories: each with `category`, `confidence` and `box`, in pixels; the box of a whole picture is null.
        labels: those of the picture, in the same pixels.
        mapping: class of a label → category, as a card's `detector_labels`.
    """
    surest = sorted(categories, key=lambda one: -one["confidence"])
    single = [label for label in labels if not label.crowd]
    verdicts = _of_objects([one for one in surest if one.get("box") is not None], labels, mapping)
    shown = {mapping[label.name] for label in labels if label.name in mapping}
    for one in surest:
        if one.get("box") is None:
            verdicts.append(Verdict(True, one["category"] in shown, one["confidence"], one["category"]))
    return Judged(verdicts, sum(label.name in mapping for label in single), bool(shown))


def count(judged: Iterable[Judged], least: float = 0.0) -> tuple[Counts, Counts]:
    """Count the names with a confidence of at least `least`: of objects, and of whole pictures."""
    objects = pictures = Counts()
    for one in judged:
        named = [verdict for verdict in one.verdicts if verdict.confidence >= least]
        objects += _counted([verdict for verdict in named if not verdict.whole], one.objects)
        pictures += _counted([verdict for verdict in named if verdict.whole], int(one.picture))
    return objects, pictures


def _counted(verdicts: Sequence[Verdict], possible: int) -> Counts:
    right = sum(verdict.right for verdict in verdicts)
    return Counts(len(verdicts), right, max(0, possible - right))


def _of_objects(
    surest: Sequence[Mapping[str, Any]], labels: Sequence[Label], mapping: Mapping[str, str]
) -> list[Verdict]:
    single = [label for label in labels if not label.crowd]
    boxes = as_boxes([one["box"] for one in surest])
    shared = overlaps(boxes, as_boxes([label.box for label in single]))
    crowded = covered(boxes, as_boxes([label.box for label in labels if label.crowd])).max(axis=1, initial=0.0)
    verdicts = []
    for one, row, crowd in zip(surest, shared, crowded, strict=True):
        at = int(np.argmax(row)) if row.size else -1
        hit = at >= 0 and row[at] >= MIN_IOU
        if hit:
            shared[:, at] = -1
        elif crowd >= MIN_IOU:
            continue
        right = bool(hit) and mapping.get(single[at].name) == one["category"]
        verdicts.append(Verdict(False, right, one["confidence"], one["category"]))
    return verdicts

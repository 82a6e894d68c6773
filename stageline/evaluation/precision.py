"""Average precision by COCO's definition: 101 recalls, IoU from 0.50 to 0.95, at most 100 findings of a class."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stageline.evaluation.boxes import IOUS, as_boxes, matched
from stageline.evaluation.dataset import Label

Floats = NDArray[np.float64]
RECALLS: Floats = np.linspace(0, 1, 101)
MAX_FINDINGS = 100  # of one class in one picture
BITS = 1 << np.arange(len(IOUS))


class Finding(NamedTuple):
    """A finding of a detector: a label, a score 0..1, a box in pixels of the original."""

    label: str
    score: float
    box: Sequence[float]


class Curve(NamedTuple):
    """The findings of one class that are not ignored, best first, at one least IoU."""

    scores: Floats
    hits: NDArray[np.bool_]
    pictures: NDArray[np.int64]
    """The number of each finding's picture."""


@dataclass
class _OfOneClass:
    scores: "array[float]" = field(default_factory=lambda: array("d"))
    pictures: "array[int]" = field(default_factory=lambda: array("I"))
    hits: "array[int]" = field(default_factory=lambda: array("H"))  # one bit for each least IoU
    ignored: "array[int]" = field(default_factory=lambda: array("H"))


class Labelled:
    """The number of labels of each picture, by class. Crowd regions do not count."""

    def __init__(self) -> None:
        self.pictures = 0
        self._of: dict[str, array[int]] = {}

    def add(self, labels: Sequence[Label]) -> int:
        """Add the next picture; return its number, from 0."""
        number, self.pictures = self.pictures, self.pictures + 1
        for label in labels:
            if not label.crowd:
                self._of.setdefault(label.name, array("I")).append(number)
        return number

    def count(self, name: str) -> int:
        """Return the number of labels of a class."""
        return len(self._of.get(name, ()))

    def classes(self) -> list[str]:
        """Return the labelled classes, sorted."""
        return sorted(self._of)

    def in_each(self, name: str) -> Floats:
        """Return the number of labels of a class in each picture, [pictures]."""
        return np.bincount(np.asarray(self._of[name], np.int64), minlength=self.pictures).astype(np.float64)


class Tally:
    """The findings of one variant in all pictures: twenty bytes for each finding, and no pixels."""

    def __init__(self) -> None:
        self._of: dict[str, _OfOneClass] = {}

    def add(self, picture: int, found: Sequence[Finding], labels: Sequence[Label]) -> None:
        """Match the findings in a picture with its labels, each class separately."""
        for name in {finding.label for finding in found}:
            best = sorted((one for one in found if one.label == name), key=lambda one: -one.score)[:MAX_FINDINGS]
            own = [label for label in labels if label.name == name]
            hits, ignored = matched(
                as_boxes([one.box for one in best]),
                as_boxes([label.box for label in own if not label.crowd]),
                as_boxes([label.box for label in own if label.crowd]),
            )
            kept = self._of.setdefault(name, _OfOneClass())
            kept.scores.extend(one.score for one in best)
            kept.pictures.extend([picture] * len(best))
            kept.hits.extend((BITS @ hits).tolist())
            kept.ignored.extend((BITS @ ignored).tolist())

    def curve(self, name: str, at: int = 0) -> Curve:
        """Return the findings of a class, best first, at the least IoU of that index in `IOUS`."""
        of = self._of.get(name, _OfOneClass())
        scores, pictures = np.asarray(of.scores, np.float64), np.asarray(of.pictures, np.int64)
        hits, ignored = (np.asarray(bits, np.int64) >> at & 1 for bits in (of.hits, of.ignored))
        order = np.argsort(-scores, kind="stable")
        order = order[ignored[order] == 0]
        return Curve(scores[order], hits[order].astype(np.bool_), pictures[order])


@dataclass(frozen=True)
class PrecisionFigures:
    """The precision of one class: AP is the mean over the least IoUs of 0.50, 0.55, … 0.95."""

    labels: int
    ap: float
    ap50: float


def average_precision(scores: Iterable[float], hits: Iterable[bool], labels: int) -> float:
    """Return the area under the interpolated precision-recall curve of one class, at COCO's 101 points."""
    order = np.argsort(-np.fromiter(scores, np.float64), kind="stable")
    right = np.fromiter(hits, np.bool_)[order].cumsum()
    return area(right / labels, right / np.arange(1, len(right) + 1))


def area(recall: Floats, precision: Floats) -> float:
    """Return the mean, over 101 recalls, of the best precision at that recall or above; 0 if there is none."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.append(envelope, 0.0)[np.searchsorted(recall, RECALLS)].mean())


def figures(tally: Tally, labelled: Labelled, classes: Iterable[str]) -> dict[str, PrecisionFigures]:
    """Return AP and AP50 of each of these classes, which must have labels."""
    found = {}
    for name in classes:
        labels = labelled.count(name)
        each = [average_precision(*tally.curve(name, at)[:2], labels) for at in range(len(IOUS))]
        found[name] = PrecisionFigures(labels, float(np.mean(each)), each[0])
    return found


def mean(by_class: Mapping[str, PrecisionFigures]) -> PrecisionFigures:
    """Return the mean over classes, which is AP and AP50 without a class; labels are summed."""
    each = list(by_class.values())
    ap, ap50 = (float(np.mean([getattr(one, name) for one in each])) if each else 0.0 for name in ("ap", "ap50"))
    return PrecisionFigures(sum(one.labels for one in each), ap, ap50)


class Shares(NamedTuple):
    """Precision and recall of the findings above a least score, all classes together, at an IoU of 0.5."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.precision * self.recall / max(1e-9, self.precision + self.recall)

"""Figures of each measured variant, and of the differences between two, with their intervals."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from stageline.evaluation.intervals import (
    MIN_PICTURES,
    RESAMPLES,
    Interval,
    of_difference,
    of_share,
    resample,
    resampled_ap50,
)
from stageline.evaluation.measuring import Measured, Milliseconds
from stageline.evaluation.naming import Judged, count
from stageline.evaluation.precision import Floats, PrecisionFigures, Shares, figures, mean
from stageline.evaluation.tries import CONFIGURED
from stageline.evaluation.variants import Changes

ALL, CHOSEN_ON, TESTED_ON = slice(None), slice(0, None, 2), slice(1, None, 2)
"""Slices of the pictures. The best of several values of a variable is chosen on one half and tested on the other: on
the half that it was chosen on, it would look better than it is."""
EXACT = 1e-9  # smaller differences are rounding errors


class Way(NamedTuple):
    """The figures of one variant."""

    by_class: dict[str, PrecisionFigures]
    mean: PrecisionFigures
    samples: Floats
    """AP50 of samples of the pictures, the same samples for each variant."""

    @property
    def interval(self) -> Interval | None:
        """The interval of AP50; None if there are too few pictures."""
        return of_share(self.mean.ap50, self.samples)


class Difference(NamedTuple):
    """The difference of two figures, and its interval, from the same samples."""

    value: float
    interval: Interval | None

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` if the interval excludes 0, ``same`` if nothing differs, otherwise ``unsure``."""
        if self.interval is None:
            return "unsure"
        low, high = self.interval
        if low > EXACT:
            return "better"
        if high < -EXACT:
            return "worse"
        return "same" if max(abs(self.value), -low, high) <= EXACT else "unsure"


class Summary:
    """The figures of a measurement, computed once each. There are no intervals for fewer than `MIN_PICTURES`."""

    def __init__(self, measured: Measured) -> None:
        self.measured = measured
        self._drawn, self._drawn_of_tested = self._draw(ALL), self._draw(TESTED_ON)
        self.way = lru_cache(maxsize=None)(self._way)

    def _way(self, changes: Changes) -> Way:
        measured = self.measured
        tally = measured.tallies[changes]
        by_class = figures(tally, measured.labelled, measured.classes)
        samples = resampled_ap50(tally, measured.labelled, measured.classes, self._drawn)
        return Way(by_class, mean(by_class), samples)

    def ap50(self, some: Changes, other: Changes) -> Difference:
        """Return the difference in AP50 of two variants."""
        one, two = self.way(some), self.way(other)
        return _difference(one.mean.ap50 - two.mean.ap50, one.samples - two.samples)

    def shares(self, least: float, of: slice = ALL) -> Shares:
        """Return precision and recall, all classes together, of the configured findings with at least that score."""
        found, right = (counts[of] for counts in self._counted(least))
        labels = self._labels()[of]
        return Shares(float(right.sum() / max(1.0, found.sum())), float(right.sum() / max(1.0, labels.sum())))

    def best_score(self, scores: Sequence[float], now: float) -> float:
        """Return the least score of the best F1 on the pictures to choose on.

        Of several equal ones, the nearest to `now`.
        """
        f1 = {least: round(self.shares(least, CHOSEN_ON).f1, 6) for least in (*scores, now)}
        return max(f1, key=lambda least: (f1[least], -abs(least - now)))

    def f1(self, some: float, other: float) -> Difference:
        """Return the difference in F1 of two least scores, on the pictures to test on."""
        labels, values, samples = self._labels()[TESTED_ON], [], []
        for least in (some, other):
            found, right = (counts[TESTED_ON] for counts in self._counted(least))
            values.append(2 * right.sum() / max(1.0, found.sum() + labels.sum()))
            drawn = self._drawn_of_tested
            samples.append(2 * drawn @ right / np.maximum(1.0, drawn @ (found + labels)))
        return _difference(float(values[0] - values[1]), samples[0] - samples[1])

    def best_naming(self, some: Sequence[Changes]) -> Changes:
        """Return the settings with the most right less wrong names on the pictures to choose on.

        Of several equal ones, the first.
        """
        return max(some, key=lambda changes: float(self._balance(changes)[CHOSEN_ON].sum()))

    def naming(self, changes: Changes, of: slice = ALL) -> Difference:
        """Return the gain in right less wrong categories of other settings over those configured.

        Args:
            changes: the settings.
            of: `ALL` pictures, or those that are `TESTED_ON`.
        """
        gained = (self._balance(changes) - self._balance(CONFIGURED))[of]
        return _difference(float(gained.sum()), (self._drawn if of == ALL else self._drawn_of_tested) @ gained)

    def _draw(self, of: slice) -> Floats:
        """Draw samples of these pictures; none if too few have a label for an interval."""
        labels = self._labels()[of]
        return resample(len(labels), RESAMPLES if np.count_nonzero(labels) >= MIN_PICTURES else 0)

    def _balance(self, changes: Changes) -> Floats:
        return np.asarray([_balance(one) for one in self.measured.judged[changes]], np.float64)

    def _counted(self, least: float) -> tuple[Floats, Floats]:
        """Return the number of findings with at least that score in each picture, and of those that hit a label."""
        pictures = self.measured.labelled.pictures
        found, right = np.zeros(pictures), np.zeros(pictures)
        for name in self.measured.classes:
            curve = self.measured.tallies[CONFIGURED].curve(name)
            sure = curve.scores >= least
            found += np.bincount(curve.pictures[sure], minlength=pictures)
            right += np.bincount(curve.pictures[sure & curve.hits], minlength=pictures)
        return found, right

    def _labels(self) -> Floats:
        labelled = self.measured.labelled
        return np.asarray(sum(labelled.in_each(name) for name in self.measured.classes), np.float64)


def _difference(value: float, samples: Floats) -> Difference:
    return Difference(value, of_difference(value, samples))


def _balance(judged: Judged) -> int:
    objects, pictures = count([judged])
    return objects.right - objects.wrong + pictures.right - pictures.wrong


def more_ms(ms: Milliseconds, changes: Changes) -> float:
    """Return how many more CPU milliseconds a picture takes than as configured: the median of the differences.

    0 if that is within the noise: twice the standard error of a median, from the median deviation.
    """
    differences = np.asarray(ms[changes]) - np.asarray(ms[CONFIGURED])
    median = float(np.median(differences))
    error = 1.253 * 1.483 * float(np.median(np.abs(differences - median))) / len(differences) ** 0.5
    return median if abs(median) > 2 * error else 0.0

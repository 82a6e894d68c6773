"""How far a figure from few pictures can be trusted: intervals that hold the true one in 95 of 100 such samples."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stageline.evaluation.precision import RECALLS, Floats, Labelled, Tally

Z = 1.959964  # standard deviations to either side that 95 % of a normal distribution lie within
RESAMPLES = 200
MIN_PICTURES = 20  # with a label: samples of fewer are too much alike to tell how far the figure can be trusted
SEED = 0
BATCH_SIZE = 2_000_000  # numbers in memory at a time


class Interval(NamedTuple):
    """The ends of an interval at 95 %."""

    low: float
    high: float


def wilson(right: int, of: int) -> Interval | None:
    """The interval of a share, of so many; None of none.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
    """
    if not of:
        return None
    share, spread = right / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / of / 4)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def resample(pictures: int, times: int = RESAMPLES) -> Floats:
    """Draw as many pictures as there are, with replacement, so many times: how often each was drawn, [times, pictures].

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7.
    """
    drawn = np.random.default_rng(SEED).integers(0, max(1, pictures), (times, pictures))
    counts = [np.bincount(row, minlength=pictures) for row in drawn]
    return np.asarray(counts, np.float64).reshape(times, pictures)


def resampled_ap50(tally: Tally, labelled: Labelled, classes: Sequence[str], drawn: Floats) -> Floats:
    """AP50, the mean over classes, of each sample that `resample` drew: [times]; nan where nothing is labelled."""
    rows = np.full((len(classes), len(drawn)), np.nan)
    for row, name in zip(rows, classes, strict=True):
        labels = drawn @ labelled.in_each(name)
        curve = tally.curve(name)
        step = max(1, BATCH_SIZE // max(1, len(curve.scores)))
        for first in range(0, len(drawn), step):
            some = slice(first, first + step)
            row[some] = _areas(curve.hits, drawn[some][:, curve.pictures], labels[some])
    counted = np.isfinite(rows)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(counted, rows, 0).sum(axis=0) / counted.sum(axis=0))


def of_share(value: float, samples: Floats) -> Interval | None:
    """The interval of a share, 0 to 1: the middle 95 % of its samples, moved so that their mean is it.

    None without samples. Moved, as AP is greater in samples: a class that few pictures show is shown by fewer of them.
    """
    ends = _middle(samples)
    if ends is None:
        return None
    low, high = (min(1.0, max(0.0, end + value - float(np.nanmean(samples)))) for end in ends)
    return Interval(low, high)


def of_difference(value: float, samples: Floats) -> Interval | None:
    """The interval of a difference, or of a sum: the middle 95 % of its samples, and the value.

    None without samples. Not moved: what makes samples of a figure greater does so on both sides of a difference, and
    samples of a sum are the sum in the mean. The mean of a few hundred is not exact: moved by it, an end of 0 would be
    a gain or a loss.
    """
    ends = _middle(samples)
    return ends and Interval(min(value, ends.low), max(value, ends.high))


def _middle(samples: Floats) -> Interval | None:
    known = samples[np.isfinite(samples)]
    if not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(low), float(high))


def _areas(hits: np.ndarray, weights: Floats, labels: Floats) -> Floats:
    """`precision.area` where each finding, best first, counts as often as its picture was drawn: [times, findings]."""
    right, all_found = (weights * hits).cumsum(axis=1), weights.cumsum(axis=1)
    precision = right / np.maximum(all_found, 1e-9)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.concatenate([envelope, np.zeros((len(weights), 1))], axis=1)
    areas = np.full(len(weights), np.nan)
    for place in np.flatnonzero(labels):
        areas[place] = envelope[place, np.searchsorted(right[place] / labels[place], RECALLS)].mean()
    return areas

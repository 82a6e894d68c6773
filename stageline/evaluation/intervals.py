"""Confidence intervals of figures: 95 of 100 such samples have an interval that contains the true figure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stageline.evaluation.precision import RECALLS, Floats, Labelled, Tally

Z = 1.959964  # standard deviations to either side that contain 95 % of a normal distribution
RESAMPLES = 200
MIN_PICTURES = 20  # with a label: samples of fewer are too much alike for an interval
SEED = 0
BATCH_SIZE = 2_000_000  # numbers in memory at a time


class Interval(NamedTuple):
    """The ends of an interval at 95 %."""

    low: float
    high: float


def wilson(right: int, of: int) -> Interval | None:
    """Return the interval of the share right/of; None if `of` is 0.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
    """
    if not of:
        return None
    share, spread = right / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / of / 4)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def resample(pictures: int, times: int = RESAMPLES) -> Floats:
    """Draw all pictures with replacement, `times` times; return how often each was drawn, [times, pictures].

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7.
    """
    drawn = np.random.default_rng(SEED).integers(0, max(1, pictures), (times, pictures))
    counts = [np.bincount(row, minlength=pictures) for row in drawn]
    return np.asarray(counts, np.float64).reshape(times, pictures)


def resampled_ap50(tally: Tally, labelled: Labelled, classes: Sequence[str], drawn: Floats) -> Floats:
    """Return the mean AP50 over classes of each sample of `resample`: [times]; nan if nothing is labelled."""
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
    """Return the interval of a share, 0 to 1: the middle 95 % of its samples, shifted so that their mean is the share.

    None without samples. The shift is needed since AP is greater in samples: fewer of their pictures show a rare class.
    """
    ends = _middle(samples)
    if ends is None:
        return None
    low, high = (min(1.0, max(0.0, end + value - float(np.nanmean(samples)))) for end in ends)
    return Interval(low, high)


def of_difference(value: float, samples: Floats) -> Interval | None:
    """Return the interval of a difference or a sum: the middle 95 % of its samples, and the value itself.

    None without samples. There is no shift: the bias of samples is the same on both sides of a difference, and a sum
    has none. The mean of a few hundred samples is not exact: shifting by it would turn an end of 0 into a gain or loss.
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
    """Return `precision.area` with each finding weighted by how often its picture was drawn: [times, findings]."""
    right, all_found = (weights * hits).cumsum(axis=1), weights.cumsum(axis=1)
    precision = right / np.maximum(all_found, 1e-9)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    envelope = np.concatenate([envelope, np.zeros((len(weights), 1))], axis=1)
    areas = np.full(len(weights), np.nan)
    for place in np.flatnonzero(labels):
        areas[place] = envelope[place, np.searchsorted(right[place] / labels[place], RECALLS)].mean()
    return areas

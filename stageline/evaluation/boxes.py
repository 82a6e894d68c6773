"""Matches boxes with labels as COCO does: overlaps, and the label that each finding hits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]  # [n, 4] of x1, y1, x2, y2 in pixels
Flags = NDArray[np.bool_]
MIN_IOU = 0.5
IOUS: NDArray[np.float64] = np.linspace(MIN_IOU, 0.95, 10)  # COCO's AP is the mean over these
NEARLY_ONE = 1 - 1e-10  # as pycocotools: rounding must not lose an IoU of 1


class Matched(NamedTuple):
    """The matches of one class's findings in one picture, at each least IoU: flags [IoUs, findings]."""

    hits: Flags
    ignored: Flags
    """The finding is in a crowd region: neither right nor wrong."""


def as_boxes(rows: Sequence[Sequence[float]]) -> Boxes:
    """Return boxes as an array [n, 4]; n may be 0."""
    return np.asarray(rows, np.float64).reshape(-1, 4)


def overlaps(some: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of each of [n, 4] with each of [m, 4]: [n, m]."""
    inner, own, theirs = _areas(some, others)
    return np.asarray(inner / np.maximum(own[:, None] + theirs - inner, 1e-9))


def covered(some: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Return the share of each of [n, 4] that is inside each of [m, 4]: [n, m]."""
    inner, own, _ = _areas(some, others)
    return np.asarray(inner / np.maximum(own[:, None], 1e-9))


def matched(found: Boxes, labelled: Boxes, crowds: Boxes, ious: NDArray[np.float64] = IOUS) -> Matched:
    """Match findings, the best first, with labels: each takes the free label with the largest overlap.

    Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", arXiv:1405.0312, and its pycocotools. A label
    is found once. A finding in a crowd region that hits no label is ignored; such a region takes any number.

    Args:
        found: [n, 4], best score first.
        labelled: [m, 4].
        crowds: [k, 4], regions labelled with ``iscrowd``.
        ious: the least overlaps, ascending; each is matched separately.
    """
    least = np.minimum(ious, NEARLY_ONE)
    shared = overlaps(found, labelled)
    count, rows = len(labelled), np.arange(len(least))
    hits = np.zeros((len(least), len(found)), np.bool_)
    taken = np.zeros((len(least), count), np.bool_)
    for index in np.flatnonzero((shared >= least[0]).any(axis=1)):
        free = np.where(taken, -1.0, shared[index])
        at = count - 1 - free[:, ::-1].argmax(axis=1)  # the last of equals, as pycocotools
        hit = free[rows, at] >= least
        hits[:, index] = hit
        taken[rows[hit], at[hit]] = True
    most = covered(found, crowds).max(axis=1, initial=0.0)
    return Matched(hits, ~hits & (most[None, :] >= least[:, None]))


def _areas(some: Boxes, others: Boxes) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=2)
    own, theirs = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (some, others))
    return inner, own, theirs

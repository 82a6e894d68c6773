"""Judges which heads were found, how much of each is hidden, and the cost of hiding."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.heads.labels import Head, HeadPicture, Points
from tag_service.blur import regions_to_hide, touched
from tag_service.heads import PERSON

Mask = NDArray[np.bool_]  # [height, width]
Boxes = Sequence[Sequence[float]]

# An oval fills 79 % of its bounding box: if less than three quarters of the box are hidden, some of the head is
# visible for certain; otherwise the rest is mostly the box's corners.
MIN_HIDDEN = 0.75


@dataclass(frozen=True)
class JudgedHead:
    """The result for a head."""

    head: Head
    found: bool
    """Whether the centre of a face's box is inside it."""
    in_person: bool
    """Whether its centre is inside the box of a detected person."""
    hidden: float
    """The share of its pixels, 0..1, that the privacy copy hides without BLUR_HEADS."""
    hidden_by_heads: float
    """Likewise with it."""


@dataclass(frozen=True)
class Sheet:
    """The result for a picture."""

    heads: Sequence[JudgedHead]
    area: float
    """The share of the picture, 0..1, that is hidden without BLUR_HEADS."""
    area_by_heads: float
    """Likewise with it."""
    regions: int
    """How many regions BLUR_HEADS adds."""
    empty: int
    """How many of these hold neither the centre of a labelled head, nor a part of a place to ignore."""


def judge(picture: HeadPicture, fields: Mapping[str, Any], classes: Collection[str]) -> Sheet:
    """Compare a picture's labels with the fields of its message after the detect stage."""
    detections, faces = fields["detections"], fields["faces"]
    plain = regions_to_hide(detections, faces, classes)
    more = regions_to_hide(detections, faces, classes, heads=True)
    masks = [mask(picture, regions) for regions in (plain, more)]
    found = found_heads(picture.heads, [face["box"] for face in faces])
    persons = [item["box"] for item in detections if item["label"] == PERSON]
    heads = []
    for i, head in enumerate(picture.heads):
        in_person = any(_holds(box, head.centre) for box in persons)
        heads.append(JudgedHead(head, i in found, in_person, *(hidden(head.corners, hit) for hit in masks)))
    added = [region for region in more if region not in plain]
    empty = sum(not _covers_something(region, picture) for region in added)
    return Sheet(heads, float(masks[0].mean()), float(masks[1].mean()), len(added), empty)


def mask(picture: HeadPicture, regions: Boxes) -> Mask:
    """Return the pixels of a picture that ``blur_regions`` replaces."""
    hit = np.zeros((picture.height, picture.width), np.bool_)
    for region in regions:
        hit[touched(region, picture.width, picture.height)] = True
    return hit


def hidden(corners: Points, hit: Mask) -> float:
    """Return the share, 0..1, of a rectangle's pixels that are hidden; those outside the picture do not count."""
    height, width = hit.shape
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), (left + 1, top + 1), (width, height)).astype(int)
    rows, columns = np.mgrid[top:bottom, left:right]
    within = _inside(corners, np.stack([columns, rows], axis=-1) + 0.5)
    return float(hit[top:bottom, left:right][within].mean()) if within.any() else 1.0


def found_heads(heads: Sequence[Head], faces: Boxes) -> set[int]:
    """Return the indices of the heads with a face: a face belongs to the nearest head that contains its centre."""
    found = set()
    for x1, y1, x2, y2 in faces:
        centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        around = [i for i, head in enumerate(heads) if _inside(head.corners, centre)]
        if around:
            found.add(min(around, key=lambda i: float(np.linalg.norm(heads[i].centre - centre))))
    return found


def _inside(corners: Points, points: Points) -> Mask:
    """Return whether each of [..., 2] points is inside a rectangle, turned or not."""
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    offset = points - corners[0]
    u, v = offset @ across / (across @ across), offset @ down / (down @ down)
    return np.asarray((u >= 0) & (u <= 1) & (v >= 0) & (v <= 1))


def _holds(box: Sequence[float], point: Points) -> bool:
    return bool(box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3])


def _covers_something(region: Sequence[float], picture: HeadPicture) -> bool:
    if any(_holds(region, head.centre) for head in picture.heads):
        return True
    spans = [(place.min(axis=0), place.max(axis=0)) for place in picture.ignore]
    return any(
        low[0] < region[2] and region[0] < high[0] and low[1] < region[3] and region[1] < high[1] for low, high in spans
    )

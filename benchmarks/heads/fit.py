"""The search for how far a head region reaches: on every other picture, judged on the rest."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from benchmarks.heads.judging import MIN_HIDDEN, hidden, mask
from benchmarks.heads.run import Seen
from stageline.core.settings import Settings
from tag_service.blur import regions_to_hide
from tag_service.heads import PERSON, REACH, Reach, head_regions

GRID = [
    Reach(*shares) for shares in product((0.15, 0.2, 0.25, 0.3, 0.35), (0.1, 0.2, 0.3, 0.4), (0.0, 0.03, 0.06, 0.09))
]
SHOWN = 12
ROW = "{:>10}{:>10}{:>8}" + "{:>13}{:>8}" * 3


class Cost(NamedTuple):
    """The effect of a reach on some pictures; less is better, heads first."""

    visible: int
    area: float
    """The mean share of a picture, 0..1, that is blurred."""
    heads: int
    reach: Reach


def cost(reach: Reach, seen: Sequence[Seen], settings: Settings) -> Cost:
    """Count the heads that a reach leaves visible."""
    shown = heads = 0
    areas = []
    for picture, fields in seen:
        faces = [list(face["box"]) for face in fields["faces"]]
        persons = [list(item["box"]) for item in fields["detections"] if item["label"] == PERSON]
        plain = regions_to_hide(fields["detections"], fields["faces"], settings.blur_classes)
        hit = mask(picture, [*plain, *head_regions(persons, faces, reach)])
        shown += sum(hidden(head.corners, hit) < MIN_HIDDEN for head in picture.heads)
        heads += len(picture.heads)
        areas.append(float(hit.mean()))
    return Cost(shown, float(np.mean(areas)), heads, reach)


def report(fitted: Sequence[Seen], judged: Sequence[Seen], lying: Sequence[Seen], settings: Settings) -> str:
    """The best of the grid on ``fitted``, and what each is worth on the others; first the one that is built in."""
    ranked = sorted(cost(reach, fitted, settings) for reach in GRID)
    lines = [ROW.format("by height", "by width", "above", *("visible", "area") * 3)]
    for one in [cost(REACH, fitted, settings), *ranked[:SHOWN]]:
        sides = (one, cost(one.reach, judged, settings), cost(one.reach, lying, settings))
        shown = [text for side in sides for text in (f"{side.visible} of {side.heads}", f"{100 * side.area:.2f} %")]
        lines.append(ROW.format(*(f"{share:.2f}" for share in one.reach), *shown))
    return "\n".join(["three pairs: fitted on, not fitted on, all pictures turned by 90°", *lines])

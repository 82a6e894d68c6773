"""Scales findings from the pixels of the examined picture to those of the original. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

DECIMALS = 1  # no detector is more exact than a tenth of a pixel


def to_original(
    findings: Sequence[Mapping[str, Any]], seen: tuple[int, int], original: tuple[int, int]
) -> list[dict[str, Any]]:
    """Scale boxes and landmarks from a picture of size ``seen`` to ``original``, both (width, height), and clip.

    Findings without an area within the original are left out.
    """
    scale = (original[0] / seen[0], original[1] / seen[1])
    moved = []
    for finding in findings:
        x1, y1, x2, y2 = finding["box"]
        box = [*_point((x1, y1), scale, original), *_point((x2, y2), scale, original)]
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        item = {**finding, "score": round(finding["score"], 4), "box": box}
        if "landmarks" in finding:
            item["landmarks"] = [_point(point, scale, original) for point in finding["landmarks"]]
        moved.append(item)
    return moved


def _point(point: Sequence[float], scale: tuple[float, float], size: tuple[int, int]) -> list[float]:
    return [
        round(min(max(edge * factor, 0.0), float(most)), DECIMALS)
        for edge, factor, most in zip(point, scale, size, strict=True)
    ]

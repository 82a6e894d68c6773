"""The figures for people: how many heads of each kind are found and how many stay visible, and the price."""

from collections.abc import Callable, Mapping, Sequence

from benchmarks.heads.judging import MIN_HIDDEN, JudgedHead, Sheet
from stageline.evaluation.intervals import wilson

GROUPS: Mapping[str, Callable[[JudgedHead], bool]] = {
    "all heads": lambda _: True,
    "front": lambda judged: judged.head.facing == "front",
    "profile": lambda judged: judged.head.facing == "profile",
    "away": lambda judged: judged.head.facing == "away",
    "under 24 px high": lambda judged: judged.head.height < 24,
    "24 to 47 px": lambda judged: 24 <= judged.head.height < 48,
    "48 to 95 px": lambda judged: 48 <= judged.head.height < 96,
    "96 px and more": lambda judged: judged.head.height >= 96,
    "front, 48 px and more": lambda judged: judged.head.facing == "front" and judged.head.height >= 48,
    "occluded or masked": lambda judged: "occluded" in judged.head.traits,
    "dark": lambda judged: "dark" in judged.head.traits,
    "out of focus": lambda judged: "blurred" in judged.head.traits,
    "rotated over 30°": lambda judged: "rotated" in judged.head.traits,
    "in a detected person": lambda judged: judged.in_person,
    "in no detected person": lambda judged: not judged.in_person,
    "face found": lambda judged: judged.found,
    "face not found": lambda judged: not judged.found,
}
ROW = "{:<24}{:>6}  {:>22}  {:>22}  {:>22}"


def visible(heads: Sequence[JudgedHead], least: float = MIN_HIDDEN) -> tuple[int, int]:
    """How many heads are hidden by less than a share, without BLUR_HEADS and with it."""
    return sum(j.hidden < least for j in heads), sum(j.hidden_by_heads < least for j in heads)


def table(rows: Mapping[str, Sequence[JudgedHead]]) -> str:
    """A line for each set of heads: how many are found, and how many stay visible."""
    lines = [ROW.format("", "heads", "face found", "visible", "visible, BLUR_HEADS")]
    for name, heads in rows.items():
        counts = (sum(judged.found for judged in heads), *visible(heads))
        lines.append(ROW.format(name, len(heads), *(_share(count, len(heads)) for count in counts)))
    return "\n".join(lines)


def groups(seen: Sequence[Sheet]) -> str:
    """The table of all groups that have a head."""
    heads = [judged for sheet in seen for judged in sheet.heads]
    rows = {name: [judged for judged in heads if belongs(judged)] for name, belongs in GROUPS.items()}
    return table({name: some for name, some in rows.items() if some})


def price(seen: Sequence[Sheet]) -> str:
    """What is blurred, how much of the added is for nothing, and how the count depends on what visible means."""
    heads = [judged for sheet in seen for judged in sheet.heads]
    area = [100 * sum(areas) / len(seen) for areas in zip(*((s.area, s.area_by_heads) for s in seen), strict=True)]
    regions, empty = sum(sheet.regions for sheet in seen), sum(sheet.empty for sheet in seen)
    lines = [
        f"blurred of the pictures' area: {area[0]:.1f} %, with BLUR_HEADS {area[1]:.1f} %",
        f"regions that BLUR_HEADS adds: {regions}, of which hold no head: {_share(empty, regions)}",
    ]
    for least in (0.25, 0.5, 0.75, 0.9):
        plain, more = visible(heads, least)
        lines.append(f"hidden by less than {100 * least:.0f} %: {plain} of {len(heads)}, with BLUR_HEADS {more}")
    return "\n".join(lines)


def _share(count: int, of: int) -> str:
    low, high = wilson(count, of) or (0.0, 1.0)  # of none nothing is known
    return f"{count} ({100 * count / max(1, of):.0f} %, {100 * low:.0f}–{100 * high:.0f})"

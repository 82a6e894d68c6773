"""Advice on settings, in sentences: the gain and the cost of each, and how certain they are."""

from dataclasses import dataclass
from typing import Any

from stageline.core.settings import Settings
from stageline.evaluation.intervals import Interval
from stageline.evaluation.naming import Counts, count
from stageline.evaluation.summary import ALL, TESTED_ON, Difference, Summary, more_ms
from stageline.evaluation.tries import CONFIGURED, OF_CLASSIFY, Tries, shown
from stageline.evaluation.variants import Changes

MIN_SCORES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8)
NOTICEABLE_MS = 0.05


@dataclass(frozen=True)
class Tried:
    """The result of other settings than those configured."""

    changes: Changes
    verdict: str
    """See `Difference.verdict`."""
    sentence: str
    figures: dict[str, Any]
    difference: Difference
    reported: bool = True
    """Whether to print it: not if another value of the same variable was chosen."""


def of_objects(summary: Summary, tried: Tries) -> list[Tried]:
    """Return the gain in AP50 of other settings of resize and detect, the best first."""
    base = summary.way(CONFIGURED).mean
    found = []
    for changes in tried.ways:
        if changes == CONFIGURED or changes not in summary.measured.ms:
            continue
        way, difference, ms = (
            summary.way(changes).mean,
            summary.ap50(changes, CONFIGURED),
            more_ms(summary.measured.ms, changes),
        )
        gain = f"AP50 {way.ap50:.3f} instead of {base.ap50:.3f} ({_signed(difference)})"
        figures = {"ap": way.ap, "ap50": way.ap50, "more_ms": ms}
        found.append(Tried(changes, difference.verdict, _sentence(changes, difference, gain, ms), figures, difference))
    return _best_first(found)


def of_scores(summary: Summary, settings: Settings) -> list[Tried]:
    """Return the gain of another least score: chosen by F1 on half of the pictures, measured on the other half."""
    now = settings.detect_min_score
    best = summary.best_score(MIN_SCORES, now)
    if best == now:
        return []
    one, other, difference = summary.shares(best, TESTED_ON), summary.shares(now, TESTED_ON), summary.f1(best, now)
    sentence = (
        f"DETECT_MIN_SCORE={best}: {percent(one.recall)} of the labels are found instead of {percent(other.recall)}, "
        f"and {percent(one.precision)} of what is found is right instead of {percent(other.precision)}; "
        f"F1 {one.f1:.3f} instead of {other.f1:.3f} ({_signed(difference)})"
    )
    figures = {"precision": one.precision, "recall": one.recall, "f1": one.f1, "more_ms": 0.0}
    return [Tried((("detect_min_score", best),), difference.verdict, sentence, figures, difference)]


def of_categories(summary: Summary, tried: Tries) -> list[Tried]:
    """Return the gain of other settings of classify, by right less wrong categories, the best first.

    Of several values of one variable, one is chosen on half of the pictures; the figures are from the other half.
    """
    judged = summary.measured.judged
    if CONFIGURED not in judged:
        return []
    names = [changes for changes in tried.classifying if changes != CONFIGURED and changes in judged]
    chosen = set()
    for name in OF_CLASSIFY:
        values = [changes for changes in names if changes[-1][0] == name]
        if values:
            chosen.add(summary.best_naming(values))
    found = []
    for changes in names:
        one_of_many = changes[-1][0] in OF_CLASSIFY
        of = TESTED_ON if one_of_many else ALL
        counts, now = (sum(count(judged[way][of]), Counts()) for way in (changes, CONFIGURED))
        difference, ms = summary.naming(changes, of), more_ms(summary.measured.naming_ms, changes)
        sentence = _sentence(changes, difference, f"{share(counts)} instead of {share(now)}", ms)
        figures = {"named": counts.named, "right": counts.right, "wrong": counts.wrong, "more_ms": ms}
        reported = not one_of_many or changes in chosen
        found.append(Tried(changes, difference.verdict, sentence, figures, difference, reported))
    return _best_first(found)


def share(counts: Counts) -> str:
    """Return the share of right names: ``13 of 18 named right (72 %, 49 to 88 %)``."""
    if counts.interval is None:
        return "none named"
    part = percent(counts.right / counts.named)
    return f"{counts.right} of {counts.named} named right ({part}, {span(counts.interval)})"


def percent(part: float) -> str:
    """Return a share, 0 to 1, in percent."""
    return f"{100 * part:.0f} %"


def span(interval: Interval) -> str:
    """Return an interval of a share: ``49 to 88 %``."""
    return f"{interval.low * 100:.0f} to {interval.high * 100:.0f} %"


def _best_first(found: list[Tried]) -> list[Tried]:
    return sorted(found, key=lambda one: -one.difference.value)


def _sentence(changes: Changes, difference: Difference, gain: str, ms: float) -> str:
    """Return the gain and cost of settings; of settings that change nothing only the names, and any cost."""
    if difference.verdict != "same":
        return f"{shown(changes)}: {gain}, {_cost(ms)}"
    return shown(changes) if abs(ms) < NOTICEABLE_MS else f"{shown(changes)}: {_cost(ms)}"


def _signed(difference: Difference) -> str:
    if difference.interval is None:
        return f"{difference.value:+.3f}, no interval"
    low, high = difference.interval
    return f"{difference.value:+.3f}, between {low:+.3f} and {high:+.3f}"


def _cost(ms: float) -> str:
    if abs(ms) < NOTICEABLE_MS:
        return "at the same cost"
    return f"{abs(ms):.1f} ms {'more' if ms > 0 else 'less'} a picture"

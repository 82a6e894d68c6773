"""The figures as one JSON object; docs/evaluating.md describes it."""

from typing import Any

from stageline.core.settings import Settings
from stageline.evaluation import advice
from stageline.evaluation.advice import Tried
from stageline.evaluation.dataset import DataSet
from stageline.evaluation.intervals import Interval
from stageline.evaluation.naming import Counts, count
from stageline.evaluation.summary import Summary
from stageline.evaluation.tries import BARE, CONFIGURED, Tries
from stageline.evaluation.variants import Changes

SHOWN = ("detect_model", "detect_on", "detect_min_score", "resize_scale", "resize_min_side", "jpeg_quality",
    "classify_model", "classify_min_confidence", "classify_trusted_score")  # fmt: skip
DECIMALS = 6
Object = dict[str, Any]


def report(found: DataSet, summary: Summary, tried: Tries, settings: Settings) -> Object:
    """Return all figures; shares and AP are 0 to 1, times are CPU milliseconds per picture."""
    measured = summary.measured
    steps = [step(summary, *one) for one in steps_of(tried, settings)]
    all_tried = [*advice.of_objects(summary, tried), *advice.of_scores(summary, settings)]
    all_tried += advice.of_categories(summary, tried)
    return {
        "data": {
            "kind": found.kind,
            "source": found.source,
            "pictures": measured.labelled.pictures,
            "labels": sum(measured.labelled.count(name) for name in measured.classes),
            "classes": len(measured.classes),
            "unknown_classes": dict(measured.unknown),
            "problems": found.problems.sentences(),
        },
        "settings": {name.upper(): getattr(settings, name) for name in SHOWN},
        "models_left_out": dict(measured.left_out),
        "line": _way(summary, CONFIGURED) | _as_configured(summary, settings),
        "network": _way(summary, BARE),
        "classes": _classes(summary),
        "steps": steps,
        "categories": _categories(summary),
        "tried": [_tried(one) for one in all_tried],
    }


def steps_of(tried: Tries, settings: Settings) -> list[tuple[str, Changes, Changes]]:
    """Return the steps whose cost is reported: name, variant without the step, variant with it."""
    floor = f", the long side not below {settings.resize_min_side}" if settings.resize_min_side else ""
    return [
        (f"resize to {advice.percent(settings.resize_scale)}{floor}", BARE, tried.on["resized"]),
        (f"its floor of {tried.floor} saves", tried.without_floor, tried.with_floor),
        ("grey", tried.on["resized"], tried.on["grayscale"]),
        ("all of it, as configured", BARE, CONFIGURED),
    ]


def step(summary: Summary, name: str, without: Changes, following: Changes) -> Object:
    """Return the effect of a step on AP50."""
    difference = summary.ap50(following, without)
    return {
        "step": name,
        "ap_without": _rounded(summary.way(without).mean.ap),
        "ap_with": _rounded(summary.way(following).mean.ap),
        "ap50_without": _rounded(summary.way(without).mean.ap50),
        "ap50_with": _rounded(summary.way(following).mean.ap50),
        "ap50_difference": _rounded(difference.value),
        "interval": _ends(difference.interval),
    }


def _way(summary: Summary, changes: Changes) -> Object:
    way, ms = summary.way(changes), sorted(summary.measured.ms[changes])
    figures = {"ap": _rounded(way.mean.ap), "ap50": _rounded(way.mean.ap50), "ap50_interval": _ends(way.interval)}
    return {**figures, "ms": round(ms[len(ms) // 2], 2)}


def _as_configured(summary: Summary, settings: Settings) -> Object:
    shares = summary.shares(settings.detect_min_score)
    return {"precision": _rounded(shares.precision), "recall": _rounded(shares.recall)}


def _classes(summary: Summary) -> list[Object]:
    line, bare = summary.way(CONFIGURED).by_class, summary.way(BARE).by_class
    return [
        {
            "class": name,
            "labels": own.labels,
            "line_ap": _rounded(own.ap),
            "line_ap50": _rounded(own.ap50),
            "network_ap": _rounded(bare[name].ap),
            "network_ap50": _rounded(bare[name].ap50),
        }
        for name, own in line.items()
    ]


def _categories(summary: Summary) -> Object | None:
    judged = summary.measured.judged.get(CONFIGURED)
    if judged is None:
        return None
    objects, pictures = count(judged)
    return {"objects": _counts(objects), "pictures": _counts(pictures)}


def _counts(counts: Counts) -> Object:
    figures = {"named": counts.named, "right": counts.right, "wrong": counts.wrong, "missed": counts.missed}
    return {**figures, "interval": _ends(counts.interval)}


def _tried(one: Tried) -> Object:
    figures = {name: _rounded(value) for name, value in one.figures.items()}
    return {
        "settings": {name.upper(): value for name, value in one.changes},
        "verdict": one.verdict,
        "told": one.reported,
        "sentence": one.sentence,
        **figures,
        "difference": _rounded(one.difference.value),
        "interval": _ends(one.difference.interval),
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return interval and [_rounded(interval.low), _rounded(interval.high)]


def _rounded(value: float) -> float:
    return round(value, DECIMALS) if isinstance(value, float) else value

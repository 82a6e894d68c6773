"""Which of the answers of a classifier are said: what is named, and what is kept as a candidate, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classify_service.batch import Rows
from classify_service.categories import Classifier
from stageline.inference import FloatArray
from stageline.registry.serving import Loaded

CONFIDENCE_DECIMALS = 4
UNSURE, CONTRADICTED, UNCONFIRMED = "unsure", "contradicted", "unconfirmed"
Item = dict[str, Any]
Detections = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Rule:
    """From when on something is named: docs/decisions/0006-categories-and-their-confidence.md."""

    min_confidence: float
    """Of the classifier."""
    trusted_score: float
    """Of a detection that names its category by itself, whatever the classifier says."""


@dataclass(frozen=True)
class _Answer:
    """What a classifier says of a part of a picture: the surest of its labels that name something."""

    category: str
    confidence: float
    sure: bool
    """Whether it is as sure as asked for, and no label that names nothing ("none of these") is surer."""


def categories(
    by: Loaded[Classifier], rows: Rows, detections: Detections | None, rule: Rule
) -> tuple[list[Item], list[Item]]:
    """Return what is named of the whole picture (box null) and of its objects, and the candidates.

    Args:
        by: the classifier.
        rows: what it said.
        detections: the objects, or None where nobody looked for any.
        rule: when it is named.

    A classifier whose card does not map the detector's labels is believed where it is sure. One whose card does is
    believed of an object where it is sure of what the detector says; else the detector is, where its score is trusted.
    Of a whole picture it is believed where the detector found something of that category; and where it found nothing,
    if the classifier can say "none of these".
    """
    named: list[Item] = []
    candidates: list[Item] = []
    for index, row in rows.categories.items():
        answer = _answer(by, row, rule)
        if answer is None:
            continue
        if index is None:
            of_it = _of_the_whole(by, answer, detections)
        elif by.value.detector_labels:
            of_it = _of_a_mapped_object(by, answer, (detections or ())[index], rule)
        else:
            of_it = _of_an_object(by, answer, (detections or ())[index])
        for said in of_it:
            (candidates if "reason" in said else named).append(said)
    return named, candidates


def item(stamp: Mapping[str, str], category: str, confidence: float, box: Sequence[float] | None, **more: str) -> Item:
    """Return a category as the wire has it: whose word it is, how sure, and of what."""
    said = {"category": category, "confidence": round(confidence, CONFIDENCE_DECIMALS), "box": box}
    return {**said, **stamp, **more}


def _answer(by: Loaded[Classifier], row: FloatArray, rule: Rule) -> _Answer | None:
    """Return the surest answer; None where no label names anything."""
    best = by.value.best(row, len(row))
    naming = [(label, sure) for label, sure in best if label]
    if not naming:
        return None
    category, confidence = naming[0]
    return _Answer(category, confidence, bool(best[0][0]) and confidence >= rule.min_confidence)


def _of_the_whole(by: Loaded[Classifier], answer: _Answer, detections: Detections | None) -> Iterator[Item]:
    more = {}
    if not answer.sure:
        more["reason"] = UNSURE
    elif by.value.detector_labels and not _fits(by.value, answer.category, detections):
        more["reason"] = UNCONFIRMED
    yield item(by.card.stamp, answer.category, answer.confidence, None, **more)


def _fits(classifier: Classifier, category: str, detections: Detections | None) -> bool:
    """Tell whether something of that category was found; or nothing, and the classifier can say "none of these".

    One that cannot takes a meadow for a deer: nothing but the detector says that there is anything.
    """
    if detections is None:
        return False
    if not detections:
        return "" in classifier.labels
    return any(classifier.detector_labels.get(one["label"]) == category for one in detections)


def _of_an_object(by: Loaded[Classifier], answer: _Answer, detection: Mapping[str, Any]) -> Iterator[Item]:
    more = {} if answer.sure else {"reason": UNSURE}
    yield item(by.card.stamp, answer.category, answer.confidence, detection["box"], **more)


def _of_a_mapped_object(
    by: Loaded[Classifier], answer: _Answer, detection: Mapping[str, Any], rule: Rule
) -> Iterator[Item]:
    """Name the category of the detector's label; what the classifier says instead is a candidate."""
    detected, box = str(detection["label"]), detection["box"]
    expected = by.value.detector_labels[detected]
    agrees, trusted = answer.category == expected, detection["score"] >= rule.trusted_score
    if agrees and answer.sure:
        yield item(by.card.stamp, expected, answer.confidence, box, detected=detected)
        return
    if trusted:
        stamp = {name: word for name in ("model", "model_sha256") if isinstance(word := detection.get(name), str)}
        yield item(stamp, expected, float(detection["score"]), box, detected=detected)
    if not (agrees and trusted):
        reason = CONTRADICTED if answer.sure and not agrees else UNSURE
        yield item(by.card.stamp, answer.category, answer.confidence, box, detected=detected, reason=reason)

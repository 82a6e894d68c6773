"""Decides which answers of a classifier become categories, and which stay candidates with a reason."""

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
    """Thresholds for categories: docs/decisions/0006-categories-and-their-confidence.md."""

    min_confidence: float
    """The least confidence of the classifier."""
    trusted_score: float
    """The least score of a detection whose label counts against the classifier."""


@dataclass(frozen=True)
class _Answer:
    """A classifier's answer for a part of a picture: the surest label that names something."""

    category: str
    confidence: float
    sure: bool
    """Whether it reaches min_confidence, and the empty label ("none of these") is not surer."""


def categories(
    by: Loaded[Classifier], rows: Rows, detections: Detections | None, rule: Rule
) -> tuple[list[Item], list[Item]]:
    """Return the categories of the whole picture (box null) and of its objects, and the candidates.

    Args:
        by: the classifier.
        rows: its outputs.
        detections: the objects, or None where no model looked for any.
        rule: the thresholds.

    Without mapped labels of the detector in its card, a sure classifier decides. With mapped labels it decides for an
    object if it is sure and agrees with the detector; else the detector decides, if its score is trusted. For a whole
    picture it decides if the detector found an object of that category, or found nothing and the classifier has an
    empty label ("none of these").
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
        for each in of_it:
            (candidates if "reason" in each else named).append(each)
    return named, candidates


def item(stamp: Mapping[str, str], category: str, confidence: float, box: Sequence[float] | None, **more: str) -> Item:
    """Return a category as the message has it: with its confidence, its box and the model."""
    category_of_box = {"category": category, "confidence": round(confidence, CONFIDENCE_DECIMALS), "box": box}
    return {**category_of_box, **stamp, **more}


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
    """Return whether an object of that category was found, or none and the classifier has an empty label.

    A classifier without one takes a meadow for a deer: only the detector shows whether there is an object.
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
    """Yield the category of the detector's label; another answer of the classifier is a candidate."""
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

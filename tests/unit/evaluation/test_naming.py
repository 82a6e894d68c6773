"""Named categories are judged by the labels that they lie on."""

from typing import Any

import pytest

from stageline.evaluation.dataset import Label
from stageline.evaluation.naming import Counts, count, judge

LEFT, RIGHT, FAR = (0.0, 0.0, 100.0, 100.0), (100.0, 0.0, 200.0, 100.0), (500.0, 500.0, 600.0, 600.0)
MAPPING = {"cat": "cat", "dog": "dog", "car": "automobile"}


def named(category: str, box: tuple[float, ...] | None, confidence: float = 0.9) -> dict[str, Any]:
    """A category as the line names it."""
    return {"category": category, "confidence": confidence, "box": None if box is None else list(box)}


def counts(categories: list[dict[str, Any]], labels: list[Label], least: float = 0.0) -> tuple[Counts, Counts]:
    """Those of objects, and of the whole picture."""
    return count([judge(categories, labels, MAPPING)], least)


def test_an_object_is_right_where_its_labels_class_maps_to_it() -> None:
    """A car is an automobile; a cat that is called a dog is wrong, and missed; a pizza has no category."""
    labels = [Label("car", LEFT), Label("cat", RIGHT), Label("pizza", FAR)]
    found = [named("automobile", LEFT), named("dog", RIGHT), named("cat", FAR)]
    objects, _ = counts(found, labels)
    assert (objects, objects.wrong) == (Counts(named=3, right=1, missed=1), 2)


def test_what_lies_on_no_label_is_wrong() -> None:
    """At an IoU of 0.5 it lies on one, below not."""
    labels = [Label("cat", LEFT)]
    assert counts([named("cat", (0, 0, 100, 201))], labels)[0] == Counts(1, 0, 1)
    assert counts([named("cat", (0, 0, 100, 200))], labels)[0] == Counts(1, 1, 0)
    assert counts([named("cat", LEFT)], [])[0] == Counts(1, 0, 0)


def test_a_label_is_named_once_by_the_surest() -> None:
    """A second category on it is wrong, though it says the same."""
    found = [named("cat", LEFT, 0.5), named("dog", LEFT, 0.8), named("cat", LEFT, 0.9)]
    assert counts(found, [Label("cat", LEFT)])[0] == Counts(3, 1, 0)
    assert counts(found[:2], [Label("cat", LEFT)])[0] == Counts(2, 0, 1)


def test_the_label_that_is_overlapped_most_judges() -> None:
    """And not the one that would make it right."""
    labels = [Label("cat", LEFT), Label("dog", (0, 0, 100, 80))]
    assert counts([named("dog", LEFT)], labels)[0] == Counts(1, 0, 2)


def test_in_a_crowd_nothing_is_judged() -> None:
    """It is neither right nor wrong, and the region is not missed."""
    assert counts([named("cat", LEFT)], [Label("dog", (0, 0, 300, 300), crowd=True)])[0] == Counts(0, 0, 0)


def test_a_whole_picture_is_right_where_any_label_maps_to_it() -> None:
    """And missed where one has a category and none is named right; pictures that show none cannot be missed."""
    labels = [Label("pizza", FAR), Label("cat", LEFT), Label("car", RIGHT)]
    assert counts([named("automobile", None)], labels)[1] == Counts(1, 1, 0)
    assert counts([named("dog", None)], labels)[1] == Counts(1, 0, 1)
    assert counts([], labels)[1] == Counts(0, 0, 1)
    assert counts([named("dog", None)], [Label("pizza", FAR)])[1] == Counts(1, 0, 0)


def test_counts_at_a_higher_confidence_are_those_of_what_is_as_sure() -> None:
    """As though the less sure had not been named."""
    found = [named("cat", LEFT, 0.6), named("dog", RIGHT, 0.9), named("cat", None, 0.7)]
    labels = [Label("cat", LEFT), Label("dog", RIGHT)]
    for least in (0.0, 0.65, 0.8, 0.95):
        assert counts(found, labels, least) == counts([one for one in found if one["confidence"] >= least], labels)


def test_the_counts_of_pictures_add_up() -> None:
    """And have Wilson's interval; there is none of nothing."""
    judged = [judge([named("cat", LEFT)], [Label(name, LEFT)], MAPPING) for name in ("cat", "dog", "cat", "pizza")]
    objects, pictures = count(judged)
    assert (objects, pictures) == (Counts(4, 2, 1), Counts(0, 0, 3))
    assert objects.interval == pytest.approx((0.15, 0.85), abs=5e-3)
    assert pictures.interval is None

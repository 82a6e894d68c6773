"""Average precision is COCO's, and the intervals around it are what they say."""

import random

import numpy as np
import pytest

from stageline.evaluation.boxes import as_boxes, matched
from stageline.evaluation.dataset import Label
from stageline.evaluation.intervals import of_difference, of_share, resample, resampled_ap50, wilson
from stageline.evaluation.precision import Finding, Labelled, Tally, figures, mean

BOX = (10.0, 10.0, 110.0, 110.0)
# What pycocotools 2.0 says of `by_chance(seed)`: AP and AP50 of each class.
BY_PYCOCOTOOLS = {
    1: {"a": (0.1350150758, 0.2401632849), "b": (0.0527214644, 0.1062253727), "c": (0.0682416215, 0.1653414569)},
    2: {"a": (0.0976468198, 0.2172028579), "b": (0.0995023257, 0.1909162426), "c": (0.0809864933, 0.1767472442)},
}


def tallied(*pictures: tuple[list[Finding], list[Label]]) -> tuple[Tally, Labelled]:
    """What was found in these pictures."""
    tally, labelled = Tally(), Labelled()
    for found, labels in pictures:
        tally.add(labelled.add(labels), found, labels)
    return tally, labelled


def shifted(by: float) -> tuple[float, float, float, float]:
    """`BOX`, moved to the right: by 25 the IoU is 0.6, by 60 it is 0.25."""
    return BOX[0] + by, BOX[1], BOX[2] + by, BOX[3]


def by_chance(seed: int) -> list[tuple[list[Finding], list[Label]]]:
    """Pictures with labels and crowds of three classes, and what a poor detector finds: misses, ties, many on one."""
    dice = random.Random(seed)
    pictures = []
    for _ in range(25):
        labels, found = [], []
        for _ in range(dice.randrange(9)):
            x, y, w, h = dice.uniform(0, 300), dice.uniform(0, 300), dice.uniform(5, 150), dice.uniform(5, 150)
            name, crowd = dice.choice("abc"), dice.random() < 0.15
            labels.append(Label(name, (x, y, x + w, y + h), crowd))
            for _ in range(dice.choice([0, 1, 1, 2, 40])):
                left, top = x + dice.gauss(0, 8), y + dice.gauss(0, 8)
                box = left, top, left + max(2, w + dice.gauss(0, 8)), top + max(2, h + dice.gauss(0, 8))
                called = name if dice.random() < 0.8 else dice.choice("abc")
                found.append(Finding(called, round(dice.random(), 2), box))
        pictures.append((found, labels))
    return pictures


def test_ap_is_the_mean_over_ten_overlaps() -> None:
    """A box that overlaps its label by 0.6 counts at 0.50, 0.55 and 0.60: AP50 is 1, AP 0.3."""
    tally, labelled = tallied(([Finding("cat", 0.9, shifted(25))], [Label("cat", BOX)]))
    own = figures(tally, labelled, ["cat"])["cat"]
    assert (own.labels, own.ap, own.ap50) == (1, pytest.approx(0.3), 1.0)


def test_a_wrong_finding_before_a_right_one_halves_the_precision() -> None:
    """Wrong, right: precision is 1/2 at every recall. The other way round it stays 1."""
    wrong, right = Finding("cat", 0.9, (200, 200, 250, 250)), Finding("cat", 0.8, BOX)
    labels = [Label("cat", BOX)]
    assert figures(*tallied(([wrong, right], labels)), ["cat"])["cat"].ap50 == pytest.approx(0.5)
    assert figures(*tallied(([wrong._replace(score=0.7), right], labels)), ["cat"])["cat"].ap50 == 1.0


def test_the_mean_is_over_classes_whatever_their_labels() -> None:
    """A class that is always found and has three labels weighs as much as one that is never found and has one."""
    cats = ([Finding("cat", 0.9, BOX)], [Label("cat", BOX)])
    tally, labelled = tallied(cats, cats, cats, ([], [Label("dog", BOX)]))
    whole = mean(figures(tally, labelled, labelled.classes()))
    assert (whole.labels, whole.ap50) == (4, 0.5)


def test_a_crowd_is_neither_found_nor_missed() -> None:
    """What lies in a crowd region is ignored, however much of it; the region itself is no label."""
    crowd = [Label("cat", (0, 0, 400, 400), crowd=True), Label("cat", BOX)]
    many = [Finding("cat", 0.99, (200, 200, 250 + n, 250)) for n in range(5)]
    outside = Finding("cat", 0.98, (500, 0, 600, 100))
    assert figures(*tallied(([*many, Finding("cat", 0.5, BOX)], crowd)), ["cat"])["cat"].ap50 == 1.0
    assert figures(*tallied(([*many, outside, Finding("cat", 0.5, BOX)], crowd)), ["cat"])["cat"].ap50 == 0.5
    assert tallied(([], crowd))[1].count("cat") == 1


def test_the_best_hundred_of_a_class_count() -> None:
    """A label that only the hundred and first finding hits is missed."""
    wrong = [Finding("cat", 0.9, (300 + n, 300, 310 + n, 310)) for n in range(100)]
    right = Finding("cat", 0.8, BOX)
    labels = [Label("cat", BOX)]
    assert figures(*tallied(([*wrong, right], labels)), ["cat"])["cat"].ap50 == 0.0
    assert figures(*tallied(([*wrong[1:], right], labels)), ["cat"])["cat"].ap50 == pytest.approx(0.01)


def test_a_finding_takes_the_label_that_it_overlaps_most() -> None:
    """And leaves the other one to the next."""
    labels = as_boxes([shifted(25), BOX])
    assert matched(as_boxes([BOX, BOX]), labels, as_boxes([])).hits[0].tolist() == [True, True]
    assert matched(as_boxes([BOX, BOX]), labels, as_boxes([])).hits[-1].tolist() == [True, False]


@pytest.mark.parametrize("seed", BY_PYCOCOTOOLS)
def test_the_figures_are_those_of_pycocotools(seed: int) -> None:
    """On pictures made by chance, with crowds, ties and too many findings; to the last digit that is written here."""
    tally, labelled = tallied(*by_chance(seed))
    own = figures(tally, labelled, labelled.classes())
    assert {name: (one.ap, one.ap50) for name, one in own.items()} == {
        name: pytest.approx(both, abs=1e-9) for name, both in BY_PYCOCOTOOLS[seed].items()
    }


def test_a_sample_of_all_pictures_once_has_the_ap_of_all() -> None:
    """The resampled figure is the same figure: drawn once each as they are, twice each the same again."""
    tally, labelled = tallied(*by_chance(1))
    classes = labelled.classes()
    once = np.ones((2, labelled.pictures)) * [[1], [2]]
    expected = mean(figures(tally, labelled, classes)).ap50
    assert resampled_ap50(tally, labelled, classes, once).tolist() == pytest.approx([expected, expected])


def test_a_sample_has_the_ap_of_the_pictures_that_it_drew() -> None:
    """Each row is AP50 of those pictures, as often as they were drawn; a class that none of them shows is left out."""
    pictures = [*by_chance(2)[:6], ([], [Label("rare", BOX)])]
    tally, labelled = tallied(*pictures)
    drawn = np.array([[2, 0, 1, 0, 1, 2, 0]], np.float64)
    again = tallied(*(picture for picture, times in zip(pictures, drawn[0], strict=True) for _ in range(int(times))))
    expected = mean(figures(*again, again[1].classes())).ap50
    assert resampled_ap50(tally, labelled, labelled.classes(), drawn)[0] == pytest.approx(expected)


def test_a_shares_interval_lies_around_it_and_within_0_and_1() -> None:
    """It is as wide as the middle 95 % of the samples, wherever these lie; there is none without samples."""
    samples = np.linspace(0.6, 0.8, 1001)
    assert of_share(0.5, samples) == (pytest.approx(0.405), pytest.approx(0.595))
    assert of_share(0.98, samples) == (pytest.approx(0.885), 1.0)
    assert of_share(0.02, samples) == (0.0, pytest.approx(0.115))
    assert of_share(0.5, np.array([np.nan])) is None
    assert resample(7, 3).sum(axis=1).tolist() == [7, 7, 7]


def test_a_differences_interval_is_where_its_samples_are() -> None:
    """It is not moved by what the mean of the samples is off; the difference itself lies in it."""
    assert of_difference(1.0, np.array([0.0] * 30 + [1.0] * 50 + [2.0] * 20)) == (0.0, 2.0)
    assert of_difference(0.5, np.linspace(0.6, 0.8, 1001)) == (0.5, pytest.approx(0.795))
    assert of_difference(0.5, np.array([])) is None


@pytest.mark.parametrize(
    ("right", "of", "ends"), [(8, 10, (0.4902, 0.9433)), (0, 5, (0.0, 0.4345)), (5, 5, (0.5655, 1.0))]
)
def test_wilsons_interval_of_a_share(right: int, of: int, ends: tuple[float, float]) -> None:
    """As tables have it."""
    assert wilson(right, of) == pytest.approx(ends, abs=5e-5)
    assert wilson(0, 0) is None

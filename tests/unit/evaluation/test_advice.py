"""What is advised is no chance: a gain in few pictures, or of the best of many values, does not pass for better."""

import random
from collections.abc import Iterable

import pytest

from stageline.core.settings import Settings
from stageline.evaluation import advice
from stageline.evaluation.dataset import Label
from stageline.evaluation.intervals import MIN_PICTURES
from stageline.evaluation.measuring import Measured
from stageline.evaluation.naming import Judged, Verdict
from stageline.evaluation.precision import Finding
from stageline.evaluation.summary import Summary
from stageline.evaluation.tries import CONFIGURED, Tries
from stageline.evaluation.variants import Changes

BOX = (10.0, 10.0, 110.0, 110.0)
RIGHT, WRONG = Verdict(False, True, 0.9), Verdict(False, False, 0.9)
OTHER: Changes = (("detect_on", "original"),)
CONFIDENT: tuple[Changes, ...] = tuple((("classify_min_confidence", value),) for value in (0.5, 0.7, 0.8))


def measured(pictures: int) -> Measured:
    """That many pictures, each with a cat."""
    made = Measured(["cat"], {})
    for _ in range(pictures):
        made.labelled.add([Label("cat", BOX)])
    return made


def found_in(made: Measured, changes: Changes, pictures: Iterable[int]) -> None:
    """In these pictures a cat is found where it is."""
    hit = set(pictures)
    for number in range(made.labelled.pictures):
        found = [Finding("cat", 0.9, BOX)] if number in hit else []
        made.tallies[changes].add(number, found, [Label("cat", BOX)])
        made.ms[changes].append(1.0)


def named_in(made: Measured, changes: Changes, pictures: Iterable[int]) -> None:
    """In these pictures an object is named right, in the others one is named wrong."""
    right = set(pictures)
    for number in range(made.labelled.pictures):
        made.judged[changes].append(Judged([RIGHT if number in right else WRONG], 1, False))
        made.naming_ms[changes].append(1.0)


def some_of(pictures: int, count: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(pictures), count)


def trying(ways: Iterable[Changes] = (), classifying: Iterable[Changes] = ()) -> Tries:
    return Tries([CONFIGURED, *ways], {}, CONFIGURED, CONFIGURED, 0, [CONFIGURED, *classifying], {})


@pytest.mark.parametrize("changed", [1, 2])
@pytest.mark.parametrize("pictures", [20, 50, 200])
def test_what_changes_in_one_or_two_pictures_may_be_chance(pictures: int, changed: int) -> None:
    """A gain there is `unsure`, whichever pictures they are, of objects as of categories; so is a loss."""
    for seed in range(12):
        made, few = measured(pictures), some_of(pictures, changed, seed)
        half = set(some_of(pictures, pictures // 2, seed + 100)) - set(few)
        for changes, right in ((CONFIGURED, half), (OTHER, half | set(few))):
            found_in(made, changes, right)
            named_in(made, changes, right)
        summary = Summary(made)
        assert summary.naming(OTHER).value == 2 * changed
        assert summary.naming(OTHER).verdict == "unsure", seed
        assert summary.ap50(OTHER, CONFIGURED).verdict == "unsure", seed
        assert summary.ap50(CONFIGURED, OTHER).verdict == "unsure", seed


def test_what_changes_in_many_pictures_does_not() -> None:
    """Found in twelve of forty more, and named there: both are better, and the reverse is worse."""
    made = measured(40)
    for changes, right in ((CONFIGURED, range(20)), (OTHER, range(32))):
        found_in(made, changes, right)
        named_in(made, changes, right)
    summary = Summary(made)
    assert summary.naming(OTHER).verdict == summary.ap50(OTHER, CONFIGURED).verdict == "better"
    assert summary.ap50(CONFIGURED, OTHER).verdict == "worse"
    assert summary.ap50(OTHER, OTHER).verdict == "same"


@pytest.mark.parametrize("empty", [0, 50])
@pytest.mark.parametrize("pictures", [1, 4, MIN_PICTURES - 1])
def test_few_pictures_have_no_interval_and_bring_no_advice(pictures: int, empty: int) -> None:
    """However great the difference, and however many pictures without a label there are."""
    made = measured(pictures)
    for _ in range(empty):
        made.labelled.add([])
    found_in(made, CONFIGURED, [])
    found_in(made, OTHER, range(pictures))
    summary = Summary(made)
    assert summary.way(OTHER).interval is None
    difference = summary.ap50(OTHER, CONFIGURED)
    assert (difference.value, difference.interval, difference.verdict) == (1.0, None, "unsure")
    (one,) = advice.of_objects(summary, trying([OTHER]))
    assert one.sentence == "DETECT_ON=original: AP50 1.000 instead of 0.000 (+1.000, no interval), at the same cost"


def test_an_interval_of_ap50_stays_within_0_and_1() -> None:
    """Also where nearly all, or nearly nothing, is found."""
    for found in (1, 19):
        made = measured(MIN_PICTURES)
        found_in(made, CONFIGURED, range(found))
        interval = Summary(made).way(CONFIGURED).interval
        assert interval is not None
        assert 0 <= interval.low < interval.high <= 1


def test_settings_that_change_nothing_are_named() -> None:
    """No figures that are the same twice."""
    made = measured(MIN_PICTURES)
    found_in(made, CONFIGURED, range(9))
    found_in(made, OTHER, range(9))
    (one,) = advice.of_objects(Summary(made), trying([OTHER]))
    assert (one.verdict, one.sentence) == ("same", "DETECT_ON=original")


def test_a_threshold_is_tested_on_other_pictures_than_it_was_chosen_on() -> None:
    """One that is right on every other picture alone, those to choose on, is chosen, and found to do worse on the rest.
    The other values are not printed."""
    made = measured(80)
    for changes, right in (
        (CONFIGURED, range(40)),
        (CONFIDENT[0], range(0, 80, 2)),
        (CONFIDENT[1], range(42)),
        (CONFIDENT[2], range(1, 80, 2)),
    ):
        found_in(made, changes, [])
        named_in(made, changes, right)
    tried = advice.of_categories(Summary(made), trying(classifying=CONFIDENT))
    (one,) = [one for one in tried if one.reported]
    assert (one.changes, one.verdict, one.figures["right"], one.figures["named"]) == (CONFIDENT[0], "worse", 0, 40)
    assert len(tried) == 3


def test_a_least_score_is_tested_on_other_pictures_than_it_was_chosen_on() -> None:
    """Cats of 0.3 are right on the pictures to choose on, and wrong on the rest."""
    made = Measured(["cat"], {})
    for _ in range(80):
        number = made.labelled.add([Label("cat", BOX)])
        away = (200.0, 200.0, 300.0, 300.0)
        found = [Finding("cat", 0.3, BOX if number % 2 == 0 else away)]
        found += [Finding("cat", 0.9, BOX)] if number % 4 < 2 else []
        made.tallies[CONFIGURED].add(number, found, [Label("cat", BOX)])
    (one,) = advice.of_scores(Summary(made), Settings(detect_min_score=0.5))
    assert one.sentence.startswith("DETECT_MIN_SCORE=0.3: 50 % of the labels are found instead of 50 %")
    assert (one.verdict, one.figures["precision"]) == ("worse", pytest.approx(1 / 3))

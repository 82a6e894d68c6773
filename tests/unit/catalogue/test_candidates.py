"""Candidates, what was looked at and not named: rows like any other's, which no filter and no summary shows."""

import pytest

from stageline.catalogue.rows import rows_of
from tests.support.candidate_cases import SHIP, plain
from tests.support.catalogue_makers import CANDIDATES, document


@pytest.mark.parametrize("named", [0, 1, 3])
def test_a_candidates_place_does_not_depend_on_what_is_named(named: int) -> None:
    """Each list counts in a direction of its own, so that what is no good in one moves nothing in the other."""
    said = document("a", categories=[*[SHIP] * named, "junk"], candidates=[{"category": 7}, *CANDIDATES])
    rows = [row for row in rows_of(said, {}, 0).predictions if row["task"] == "image-classification"]
    found = [(row["position"], row["category"], row["named"]) for row in rows]
    assert found == [*[(n, "ship", True) for n in range(named)], (-2, "truck", False), (-3, "cat", False)]


@pytest.mark.parametrize(
    "candidates",
    [7, "x", {"category": "cat", "confidence": 1}, [None, 1, [], "x"], [{"category": ["cat"], "confidence": 0.1}],
     [{"category": "cat"}], [{"category": "cat", "confidence": "sure"}], [{"category": "", "confidence": 0.1}],
     [{"category": "cat", "confidence": 10**400}], [{"category": "cat", "confidence": float("nan")}]],
)  # fmt: skip
def test_candidates_that_are_none_make_no_rows(candidates: object) -> None:
    """Whatever a document has in their place; the rest of it is taken."""
    rows = rows_of(plain("a", categories=[SHIP], candidates=candidates), {}, 0)
    assert [row["category"] for row in rows.predictions] == ["ship"]

"""Asking the catalogue: pages that stay steady, filters that are values and never SQL, and the nearest faces."""

import base64
import json
from datetime import timedelta

import pytest

from stageline.catalogue import BadCursor, cursor
from tests.support.catalogue_makers import BEGAN


def encoded(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "bad",
    ["x", "ü", "=", "AAAA", "a" * 5000, encoded(None), encoded([]), encoded([1, 2]), encoded(["2026-01-01", "a"]),
     encoded(["2026-01-01T00:00:00+00:00", "../x"]), encoded(["2026-01-01T00:00:00+00:00", 7]),
     encoded({"a": 1, "b": 2}),
     encoded(["0001-01-01T00:00:00+23:59", "a"]), encoded(["'; DROP TABLE image_info; --", "a"]), "[" * 150],
)  # fmt: skip
def test_a_cursor_that_no_page_gave_is_refused(bad) -> None:
    with pytest.raises(BadCursor, match="next_cursor"):
        cursor.decode(bad, "")


def test_a_cursor_comes_back_as_it_went() -> None:
    moment = BEGAN + timedelta(microseconds=123456)
    made = cursor.encode(moment, "01K-x_Y", "all")
    assert cursor.decode(made, "all") == (moment, "01K-x_Y")
    with pytest.raises(BadCursor, match="other filters"):
        cursor.decode(made, "those")

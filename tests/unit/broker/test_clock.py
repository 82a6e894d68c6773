"""The line's clock: Redis's time, learnt by the way, whatever the machine's own clock says."""

import ast
import time
from datetime import timedelta

import pytest

from stageline.core import clock
from stageline.core.clock import Clock
from stageline.core.timestamps import iso, moment
from stageline.pipeline.arrival import without_future_times
from stageline.pipeline.message import Message
from tests.support.places import REPOSITORY

WALL = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
WALL |= {("time", "gmtime"), ("time", "localtime"), ("ulid", "ULID")}
ITS_OWN = {
    "stageline/core/clock.py": "it is what says the time",
    "stageline/store/folder.py": "files have this machine's",
}


def test_nothing_but_the_clock_asks_the_machine_for_the_time() -> None:
    """Every other time that is written down, or compared with one that is, would be wrong with the machine's."""
    found = []
    for path in sorted(REPOSITORY.rglob("*.py")):
        name = str(path.relative_to(REPOSITORY))
        if name.startswith("stageline/") or path.relative_to(REPOSITORY).parts[0].endswith("_service"):
            calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
            attributes = [each.func for each in calls if isinstance(each.func, ast.Attribute)]
            asked = {(each.value.id, each.attr) for each in attributes if isinstance(each.value, ast.Name)}
            found += [name] if asked & WALL else []
    assert sorted(found) == sorted(ITS_OWN)


def test_an_answer_bounds_the_time_and_the_next_narrows_it() -> None:
    """Half of the round trip is taken off; a slow answer after a quick one counts only where the two contradict."""
    mine = Clock()
    begin = time.monotonic()
    mine.learn(1_000_000.0, begin - 2.0, begin + 2.0)
    assert mine.seconds() == pytest.approx(1_000_000.0, abs=0.5)
    mine.learn(1_000_001.0, begin, begin)
    assert mine.seconds() == pytest.approx(1_000_001.0 + time.monotonic() - begin, abs=0.001)
    mine.learn(1_000_001.0, begin - 5.0, begin + 1.0)
    assert mine.seconds() == pytest.approx(1_000_001.0 + time.monotonic() - begin, abs=0.001)
    mine.learn(1_000_600.0, begin - 1.0, begin + 1.0)  # as after this machine slept for ten minutes
    assert mine.seconds() == pytest.approx(1_000_600.0 + time.monotonic() - begin, abs=0.001)


def test_before_anybody_was_asked_it_is_the_machines_own() -> None:
    """As where one process is the whole line."""
    assert Clock().seconds() == pytest.approx(time.time(), abs=0.5)
    assert Clock().is_due()


def test_what_is_uploaded_in_the_time_to_come_came_now() -> None:
    """A producer's clock may be ahead; one that is behind cannot be distinguished from a message that waited."""
    now = clock.now()
    ahead, behind = iso(now + timedelta(hours=1)), iso(now - timedelta(hours=1))

    def checked(**fields) -> dict:
        sent = Message.of({"image_id": "a", "original_path": "original/a.jpg", **fields})
        taken = without_future_times(sent)
        assert taken.raw == sent.raw, "the queue's steps compare it"
        return dict(taken.fields)

    assert now <= moment(checked(uploaded_at=ahead)["uploaded_at"]) + timedelta(milliseconds=1)
    assert moment(checked(uploaded_at=ahead)["uploaded_at"]) <= clock.now()
    assert moment(checked(runs=[{"run": 1, "created_at": ahead, "from": "x"}])["runs"][0]["created_at"]) <= clock.now()
    for kept in (behind, iso(now), "soon", "", "9999-12-31T23:59:59"[:7]):
        assert checked(uploaded_at=kept)["uploaded_at"] == kept
    assert checked(runs=[{"created_at": behind}, {"created_at": 7}, {}])["runs"] == [
        {"created_at": behind},
        {"created_at": 7},
        {},
    ]

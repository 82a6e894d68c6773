"""Pictures flow while processes and servers are killed and frozen: nothing answered 202 is lost, doubled or changed."""

import os
from pathlib import Path

import pytest

from tests.chaos.campaign import run

SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.mark.parametrize(
    ("pictures", "kills"),
    [pytest.param(100, 14, id="short"), pytest.param(500, 60, id="long", marks=pytest.mark.long)],
)
def test_a_campaign_loses_nothing(pictures: int, kills: int, tmp_path: Path, models_dir: Path, data_dir: Path) -> None:
    """Every picture has one terminal result, everything agrees, nothing is left over, outputs are as undisturbed."""
    report = run(tmp_path, models_dir, data_dir / "coco128" / "images", pictures, kills, SEED)
    print(report)  # noqa: T201 - pytest shows it where the test fails, or with -rP
    assert report.problems == [], str(report)
    assert report.fallen.kills >= kills
    assert report.fallen.on_work > report.fallen.total / 2, "most faults fell on an idle line"

"""Pictures flow while processes and servers are killed and frozen: nothing answered 202 is lost, doubled or changed."""

import os
from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.campaign import run
from tests.chaos.deployment import SERVICES

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


def test_a_campaign_that_fails_says_how_to_repeat_it(tmp_path: Path, models_dir: Path) -> None:
    """The command names the seed and the folder of pictures, also where it fails before the first fault."""
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(AssertionError) as failed:
        run(tmp_path / "campaign", models_dir, tmp_path, 10, 4, seed=41)
    assert "--pictures 10 --kills 4 --seed 41" in str(failed.value)
    assert f"--from {tmp_path}" in str(failed.value)


def test_a_seed_draws_its_faults_again() -> None:
    """The same seed draws the same faults, another draws others, and each service and each server has its turn."""
    drawn = faults.plan(1, 14, list(SERVICES))
    assert drawn == faults.plan(1, 14, list(SERVICES)) != faults.plan(2, 14, list(SERVICES))
    assert {fault.target for fault in drawn} == {*SERVICES, *faults.SERVERS}

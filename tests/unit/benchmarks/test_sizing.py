"""The sizing tables: their arithmetic on made-up figures, a stage measured for real, and what the manifests ask for."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import sizing_plan as plan
from benchmarks.container_images import shared, together
from benchmarks.container_starts import seconds_to_ready
from benchmarks.sizing_tables import needs, put_into, tables
from tests.support.manifests import Document, base, quantity
from tests.support.places import REPOSITORY

CPU = dict.fromkeys(plan.ALL, 5.0) | {"detect": 25.0}
SPEED = {"pictures_per_second": 20.0, "cpu_ms_per_picture": CPU}
MEMORY = dict.fromkeys(plan.ALL, 100.0)
FOUND: dict[str, Any] = {
    "cores": 2,
    "processor": "a made-up one",
    "pictures": 128,
    "line": {"1": SPEED, "2": SPEED | {"pictures_per_second": 30.0}},
    "alone": {
        name: {"1": {"per_second": 500 / CPU[name]}, "2": {"per_second": 750 / CPU[name]}} for name in plan.STAGES
    },
    "originals_bytes": 100_000.0,
    "stored_bytes": 500_000.0,
    "memory": {"idle": MEMORY, "usual": MEMORY, "large": MEMORY, "large_together": MEMORY | {"tag": 800.0}},
    "kept_in_redis": {"status": 1024.0, "named": 0.0, "sha256": 0.0, "event": 0.0},
}


@pytest.mark.parametrize(
    ("rate", "capacity", "count"), [(30, 50, 1), (35, 50, 1), (36, 50, 2), (100, 20, 8), (0.1, 9, 1)]
)
def test_pods_are_kept_at_seven_tenths(rate: float, capacity: float, count: int) -> None:
    """Of 50 a second a pod is given 35; one is there for however little."""
    assert plan.pods(rate, capacity) == count


def test_the_slowest_stage_or_the_cores_bound_the_line() -> None:
    """Four workers that do 20 a second let 80 through, where the cores have the time."""
    alone = dict.fromkeys(plan.STAGES, 100.0) | {"detect": 20.0}
    assert plan.line_speed(4, alone, 100.0) == 80
    assert plan.line_speed(4, alone, 100.0, on_cores=2) == 20


def test_needs_follow_from_what_was_measured() -> None:
    """Five ms are 50m at ten pictures a second; a limit is a quarter above the worst, or room for a command."""
    found = needs(FOUND)
    assert found["detect"] == plan.Need(250, 128, 256)
    assert found["tag"] == plan.Need(50, 128, 1024)
    assert found["minio"].limit_mib == plan.MIN_LIMIT_MIB["minio"]
    assert plan.need("grayscale", 0.01, 10, 10).millicores == plan.MIN_MILLICORES


def test_redis_keeps_an_hour_of_statuses() -> None:
    """Of 1 KiB each at ten pictures a second, 36,000 of them."""
    assert plan.redis_mib(10, FOUND["kept_in_redis"], 15) == pytest.approx(15 + 36_000 / 1024)


def test_workers_of_one_stage_are_added_up() -> None:
    """As `stageline up` names them."""
    assert plan.by_workload({"detect-0": 1.0, "detect-1": 2.0, "MinIO": 4.0}) == {"detect": 3.0, "minio": 4.0}


def test_the_tables_show_every_workload(tmp_path: Path) -> None:
    """Each in each table that is its own; and they go into a document between its marks, again and again."""
    shown = list(tables(FOUND))
    assert "| detect, alone | 20.0 | 30.0 | 1.50 |" in shown
    assert "| 4 | 80 | 6.0 |" in shown  # 75 ms a picture in all
    assert "| detect | 20 | 3 | 8 |" in shown
    assert "| minio: GB of disk a day |  | 1296 | 4320 |" in shown
    for name in plan.ALL:
        assert sum(row.startswith(f"| {name}") for row in shown) >= 3
    document = tmp_path / "sizing.md"
    document.write_text("before\n<!-- sizing: begin (a command) -->\nold\n<!-- sizing: end -->\nafter\n")
    for _ in range(2):
        put_into(document, "sizing", shown)
    assert document.read_text().count("| 4 | 80 | 6.0 |") == 1
    assert "old" not in document.read_text()
    assert document.read_text().endswith("<!-- sizing: end -->\nafter\n")
    with pytest.raises(ValueError, match="containers: begin"):
        put_into(document, "containers", shown)


def test_a_layer_counts_once() -> None:
    """Of two images that have one layer in common."""
    images = {"a": {"base": 100, "a's": 5}, "b": {"base": 100, "b's": 7}}
    assert shared(images) == {"a": 100, "b": 100}
    assert together(images) == 112


def pod(ready: str) -> dict[str, Any]:
    """A pod of MinIO as the cluster describes it."""
    started = {"minio": "2026-11-01T10:00:05Z", "line-user": "2026-11-01T10:00:09Z"}
    return {
        "metadata": {"labels": {"app.kubernetes.io/name": "minio"}},
        "status": {
            "containerStatuses": [{"name": n, "state": {"running": {"startedAt": at}}} for n, at in started.items()],
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-01T10:00:12Z"}],
        },
    }


def test_a_start_counts_from_the_container_that_the_pod_is_named_for() -> None:
    """Not from one beside it; and a pod that is not ready has no time to report."""
    assert seconds_to_ready(pod("True")) == 7
    assert seconds_to_ready(pod("False")) is None


def rows(title: str) -> dict[str, list[str]]:
    """A table of docs/sizing.md: the first cell of each row → the others."""
    _, _, after = (REPOSITORY / "docs" / "sizing.md").read_text().partition(f"**{title}")
    lines = after.split("\n\n", 2)[1].splitlines()[2:]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}


def main_container(name: str) -> Document:
    """What a workload of the base is named for."""
    (found,) = [each for each in base() if each.name == name]
    (container,) = [each for each in found.pod["containers"] if each["name"] == name]
    return container


@pytest.mark.parametrize("name", plan.ALL)
def test_the_manifests_follow_from_the_table(name: str) -> None:
    """A request of CPU about as in docs/sizing.md; no limit of CPU; a limit of memory above the worst that was seen."""
    asked = main_container(name)["resources"]
    measured = quantity(rows("Requests and limits")[name][0])
    assert measured / 2 <= quantity(asked["requests"]["cpu"]) <= 2 * measured
    assert set(asked["limits"]) == {"memory"}
    worst = float(rows("Peak memory")[name][-1])
    assert quantity(asked["limits"]["memory"]) >= 1.1 * worst * 2**20

"""The sizing tables: their arithmetic on made-up figures, a stage measured for real, and what the manifests ask for."""

from pathlib import Path

from benchmarks.sizing_stage import StagesAlone
from stageline.pipeline import line
from tests.support.picture_makers import encoded, noise
from tests.support.places import missing


def test_a_stage_by_itself_empties_its_queue(tmp_path: Path, models_dir: Path) -> None:
    """Two workers process every queued picture, and the time, the CPU time and the start time are reported."""
    pictures = [tmp_path / f"{n}.jpg" for n in range(3)]
    for n, path in enumerate(pictures):
        path.write_bytes(encoded(noise(seed=n), "JPEG"))
    try:
        alone = StagesAlone(tmp_path, models_dir)
    except FileNotFoundError as error:
        missing(str(error))
    try:
        alone.prepare(pictures)
        lap = alone.lap(line.stage("grayscale"), 2, 4)
    finally:
        alone.stop()
    assert min(lap) > 0

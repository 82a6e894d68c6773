"""The line's detections are as good as its detector: AP50 over COCO's first 128 labelled pictures."""

from pathlib import Path

import pytest

from benchmarks.accuracy import Input, measure


@pytest.mark.parametrize(("on", "least"), [("grayscale", 0.39), ("resized", 0.49), ("original", 0.49)])
def test_the_line_finds_what_its_detector_finds(on: Input, least: float, data_dir: Path, models_dir: Path) -> None:
    """Whatever lies between the upload and the network costs next to nothing."""
    found = measure(data_dir / "coco128", on, models_dir)

    assert found["pictures"] == 128
    assert found["labels"] == 929
    assert found["ap50"] >= least, f"AP50 {found['ap50']} on {on}"

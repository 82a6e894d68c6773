"""The line's detections are as good as its detector: AP50 over COCO's first 128 labelled pictures."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import Seen as Picture
from benchmarks.accuracy import ap50, average_precision, matches, read_labels, read_names

BOX = [10.0, 10.0, 50.0, 50.0]


def test_perfect_findings_score_one_and_a_missed_class_scores_zero() -> None:
    """The mean is over what is labelled, found or not."""
    pictures = [Picture([("cat", 0.9, BOX)], [("cat", BOX), ("dog", BOX)]), Picture([], [])]

    assert ap50(pictures) == {"cat": 1.0, "dog": 0.0}


def test_a_second_finding_of_the_same_label_is_wrong() -> None:
    """A label is found once."""
    assert matches(np.array([BOX, BOX]), np.array([BOX])) == [True, False]
    assert matches(np.array([BOX]), np.empty((0, 4))) == [False]


def test_precision_is_interpolated_at_101_recalls() -> None:
    """Right, wrong, right of two labels: precision 1 up to recall 0.5 (51 points), then 2/3 (50 points)."""
    assert average_precision([0.9, 0.8, 0.7], [True, False, True], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert average_precision([], [], 2) == 0.0


def test_labels_are_read_in_pixels(tmp_path: Path) -> None:
    """From YOLO's centre and size to corners."""
    (tmp_path / "names.yaml").write_text("names:\n  0: person\n  9: traffic light\n")
    (tmp_path / "a.txt").write_text("9 0.5 0.5 0.2 0.4\n")

    names = read_names(tmp_path / "names.yaml")

    assert names == {0: "person", 9: "traffic light"}
    (label, box), *others = read_labels(tmp_path / "a.txt", names, 100, 50)
    assert (label, others) == ("traffic light", [])
    assert box == pytest.approx([40, 15, 60, 35])
    assert read_labels(tmp_path / "absent.txt", names, 100, 50) == []

"""The benchmark of heads judges as its tables say, and the option is worth what the documents claim."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from benchmarks.heads.labels import read
from benchmarks.heads.report import visible
from benchmarks.heads.run import look, open_line, sheets
from stageline.core.settings import Settings
from tests.support.places import REPOSITORY


def test_the_option_is_worth_what_the_documents_say(data_dir: Path, models_dir: Path) -> None:
    """Of the half that the reach was not fitted on: three in four heads are visible without it, one in four with it."""
    settings = Settings(models_dir=models_dir)
    half = read()[1::2]
    seen = sheets(list(look(open_line(settings), data_dir / "coco128" / "images", half)), settings)
    heads = [judged for sheet in seen for judged in sheet.heads]
    plain, more = visible(heads)
    assert len(heads) == 86
    assert 0.6 < plain / len(heads) < 0.9
    assert more / len(heads) < 0.3
    assert sum(sheet.area_by_heads for sheet in seen) / len(seen) < 0.08


def test_other_pictures_are_refused(tmp_path: Path, models_dir: Path) -> None:
    """A folder that lacks a labelled picture, or has another by its name, ends the command with a sentence."""
    (tmp_path / "images").mkdir()
    name = read()[0].name
    command = [sys.executable, "-m", "benchmarks.heads", str(tmp_path), "--models", str(models_dir)]
    absent = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (absent.returncode, name in absent.stderr) == (2, True), absent.stderr
    cv2.imwrite(str(tmp_path / "images" / name), np.zeros((20, 30, 3), np.uint8))
    other = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (other.returncode, "is not the picture that was labelled" in other.stderr) == (2, True), other.stderr

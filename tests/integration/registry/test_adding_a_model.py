"""docs/adding-a-model.md is true: following it to the letter gives a line with a detector and a classifier more."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto

from detect_service.adapters import ADAPTERS
from stageline.registry.card import Card
from tests.support.detector_graphs import BLUE, RED, Graph
from tests.support.places import REPOSITORY
from tests.support.running_line import inherited

PAGE = (REPOSITORY / "docs" / "adding-a-model.md").read_text()
RED_BOX, BLUE_BOX = [80, 40, 240, 200], [320, 160, 480, 440]


def boats() -> bytes:
    """A network whose findings are rows: a boat where it is red, a buoy where it is blue, and both again, less sure."""
    graph = Graph("pixels", TensorProto.FLOAT, [1, 3, 320, 320])
    red, blue = (graph.box(graph.pixels, channel, "x1 y1 x2 y2") for channel in (RED, BLUE))
    boxes = graph.node("Concat", red, blue, red, blue, axis=0)
    found = graph.node("Concat", boxes, graph.floats([[0.9, 0], [0.7, 1], [0.6, 0], [0.5, 1]]), axis=1)
    rows = graph.node("Unsqueeze", found, graph.int64([0]))
    return graph.model([("findings", rows, [1, "n", 6], TensorProto.FLOAT)])


def weather() -> bytes:
    """A classifier that calls what is dark rain."""
    graph = Graph("pixels", TensorProto.FLOAT, ["batch", 3, 224, 224])
    mean = graph.node("ReduceMean", graph.pixels, axes=[1, 2, 3], keepdims=0)
    column = graph.node("Unsqueeze", mean, graph.int64([1]))
    logits = graph.node("MatMul", column, graph.floats([[9.0, 1.0, -9.0]]))
    return graph.model([("logits", logits, ["batch", 3], TensorProto.FLOAT)])


@pytest.fixture
def copy(tmp_path: Path, models_dir: Path) -> Path:
    """A copy of the repository in which somebody followed the page, up to the commands."""
    skipped = shutil.ignore_patterns("__pycache__")
    for folder in ("stageline", "models", *(path.name for path in REPOSITORY.glob("*_service"))):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=skipped)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    shutil.copytree(models_dir, tmp_path / "stageline-data" / "models")
    function, table = re.findall(r"```python\n# detect_service/adapters\.py\n(.*?)```", PAGE, re.DOTALL)
    adapters = tmp_path / "detect_service" / "adapters.py"
    text, count = re.subn(
        r"^ADAPTERS: .*\n", lambda _: function + "\n\n" + table, adapters.read_text(), flags=re.MULTILINE
    )
    assert count == 1
    adapters.write_text(text)
    for card, network in zip(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL), (boats(), weather()), strict=True):
        folder = tmp_path / json.loads(card)["name"]
        folder.mkdir()
        (folder / "model.json").write_text(card)
        (folder / "model.onnx").write_bytes(network)
    harbour = np.full((480, 640, 3), 8, np.uint8)
    for (x1, y1, x2, y2), colour in ((RED_BOX, (0, 0, 255)), (BLUE_BOX, (255, 0, 0))):
        harbour[y1:y2, x1:x2] = colour
    assert cv2.imwrite(str(tmp_path / "harbour.png"), harbour)
    return tmp_path


def shell(copy: Path, command: str, **settings: str) -> str:
    """Run a command of the page in that copy, and return what it prints."""
    bin_folder = copy / "bin"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "stageline").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stageline "$@"\n')
    (bin_folder / "stageline").chmod(0o755)
    environment = {**inherited(), "PYTHONPATH": str(copy), "PATH": f"{bin_folder}:{os.environ['PATH']}", **settings}
    done = subprocess.run(
        ["sh", "-ec", command], env=environment, cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(first_word: str) -> list[str]:
    """The page's blocks of commands that begin with that."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [block for block in blocks if block.startswith(first_word)]


def test_the_detector_finds_what_it_finds(copy: Path) -> None:
    """With a card and one function it is published, promoted, and chosen by name; every finding names it."""
    (published, _), (run,) = commands("stageline models publish"), commands("DETECT_MODEL")
    assert "boats@1 is current" in shell(copy, published)
    (document,) = json.loads(shell(copy, run, DETECT_ON="original"))
    found = [(each["label"], each["score"], each["box"], each["model"]) for each in document["detections"]]
    assert found == [("boat", 0.9, RED_BOX, "boats@1"), ("buoy", 0.7, BLUE_BOX, "boats@1")]
    assert "boats" not in document["missing_models"]


def test_the_classifier_says_what_it_says(copy: Path) -> None:
    """With a card it is published and chosen by name: the dark harbour has rain, and each category names its model."""
    _, block = commands("stageline models publish")
    published, run = block.splitlines()
    assert "weather@1 is current" in shell(copy, published)
    (document,) = json.loads(shell(copy, run))
    (whole,) = [each for each in document["categories"] if each["box"] is None]
    assert (whole["category"], whole["model"]) == ("rain", "weather@1")


def test_what_the_page_shows_passes_the_linters(copy: Path) -> None:
    """It is as strict as the rest."""
    for words in (["ruff", "check", "detect_service"], ["mypy", "detect_service"]):
        done = subprocess.run([sys.executable, "-m", *words], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_the_page_names_every_adapter_and_only_fields_that_there_are() -> None:
    """Its two tables are complete."""
    adapters, fields = (
        re.findall(r"^\| ([`a-z_.,\s-]+?) \|", table, re.MULTILINE)
        for table in re.findall(r"^\|---.*?\n(.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
    )
    assert [re.findall(r"`([^`]+)`", name) for name in adapters] == [[name] for name in ADAPTERS]
    named = {name.split(".")[0] for row in fields for name in re.findall(r"`([^`]+)`", row)} - {"dtype", "mean", "std"}
    assert named == set(Card.model_fields) - {"files", "sha256", "source_sha256"}

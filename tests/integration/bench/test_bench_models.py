"""``stageline bench models``: what it measures, how it compares, and what it says where something is missing."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from stageline.bench import memory
from stageline.bench import models as bench
from stageline.bench.cases import cases, noise, read_pictures
from stageline.bench.contenders import EAGER, Contender, contenders
from stageline.bench.rounds import interleaved, times_faster
from stageline.core.errors import ModelError, StagelineError
from stageline.core.settings import Settings
from stageline.inference import Options
from stageline.registry.card import ModelFiles, made_of
from stageline.registry.repository import open_repository
from tests.support import onnx_graphs, tiny_models
from tests.support.detector_graphs import card, ssd_network
from tests.support.places import REPOSITORY, missing

QUICK = bench.How(batches=(1, 4), rounds=2, seconds=0.001)
CPU = [Contender(runtime, "cpu", Options()) for runtime in ("onnxruntime", "openvino")]


def shapes(model: ModelFiles, batches: Sequence[int] = (1,)) -> list[list[tuple[int, ...]]]:
    """The shapes of the calls of each case of a model."""
    return [[call[0].shape for call in case.calls] for case in cases(model, noise(), batches)]


def detector(onnx: bytes, **more: object) -> ModelFiles:
    """A detector with that network."""
    return made_of(card("yolox-nano", **more), {"model.onnx": onnx})


def test_everybody_has_a_turn_in_every_round() -> None:
    """A, B, A, B: what slows the machine down slows both; the ratio is the median of the rounds'."""
    turns: list[str] = []
    times = interleaved({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=3, seconds=0)
    assert "".join(turns) == "aabb" + "ab" * 3
    assert [len(found) for found in times.values()] == [3, 3]
    assert times_faster([1.0, 2.0, 1.0], [3.0, 6.0, 90.0]) == 3.0


def test_a_classifier_is_measured_in_batches() -> None:
    """In each batch size that is asked for, in the size that it takes; a fixed batch in that one only."""
    assert shapes(tiny_models.colours(), (1, 8)) == [[(1, 3, 32, 32)], [(8, 3, 32, 32)]]
    fixed = made_of(card("ssd-mobilenet-v1"), {"model.onnx": ssd_network()})
    assert shapes(fixed, (2,)) == [[(1, 300, 300, 3)] * len(noise())]


def test_what_takes_any_size_is_measured_in_those_of_pictures() -> None:
    """A letterboxed network in the shapes of pictures that lie and stand, P-Net on all levels of each picture."""
    free = onnx_graphs.relu().SerializeToString()
    letterboxed = {"input": {"shape": [1, 3, 416, 416]}, "preprocessing": {"fit": "letterbox"}}
    (found,) = shapes(detector(free, **letterboxed))
    assert {(1, 3, 320, 416), (1, 3, 416, 320), (1, 3, 288, 416)} <= set(found)

    (levels,) = shapes(detector(free, input={"shape": [1, 3, "height", "width"]}))
    assert levels[:3] == [(1, 3, 145, 193), (1, 3, 103, 137), (1, 3, 73, 97)]


def test_pictures_of_a_folder_are_used(data_dir: Path, tmp_path: Path) -> None:
    """Pixels are given as the network takes them, and the folder's shapes are used; no pictures is a sentence."""
    faces = read_pictures(data_dir / "faces", 50_000_000)
    (case,) = cases(tiny_models.colours(), faces, (2,))
    (taken,) = case.calls[0]
    assert (taken.shape, taken.dtype, case.pictures) == ((2, 3, 32, 32), np.float32, 2)
    assert 20 < taken.mean() < 235
    assert len(read_pictures(data_dir / "coco128" / "images", 50_000_000)) == 16
    with pytest.raises(StagelineError, match="no pictures in"):
        read_pictures(tmp_path, 50_000_000)


def test_runtimes_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each runtime and batch size, one of them the fastest; what cannot run is said, and left out."""
    monkeypatch.setattr(memory, "growth", lambda *_: 1.5)
    said: list[str] = []
    rows = list(bench.measure([tiny_models.colours()], CPU, noise(), QUICK, said.append))

    assert [(row.model, row.runtime, row.batch) for row in rows] == [
        ("colours@1", runtime, batch) for batch in (1, 4) for runtime in ("onnxruntime", "openvino")
    ]
    assert [sum(row.fastest for row in rows if row.batch == batch) for batch in (1, 4)] == [1, 1]
    assert all(row.milliseconds > 0 and row.times_torch is None for row in rows)
    assert all(abs(row.pictures_per_second * row.milliseconds / 1000 - 1) < 1e-6 for row in rows)

    broken = [*CPU, Contender("onnxruntime", "cuda:0", Options("cuda:0"))]
    rows = list(bench.measure([tiny_models.colours()], broken, noise(), QUICK, said.append))
    assert len(rows) == 4
    assert any("cannot be loaded" in text for text in said)


def test_torch_in_eager_mode_is_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch is installed each row has its ratio to torch, whose own is 1; torch is never the fastest."""
    monkeypatch.setattr(memory, "growth", lambda *_: None)
    if not (find_spec("torch") and find_spec("onnx2torch")):
        missing("no torch: ratios to it need torch and onnx2torch (`make test TRAIN=1`)")
    who = contenders("cpu", ["auto", "float32"], 1)
    assert [one.runtime for one in who] == ["onnxruntime", "openvino", "openvino", EAGER]
    rows = list(bench.measure([tiny_models.colours()], who, noise(), QUICK, print))
    eager = [row for row in rows if row.runtime == EAGER]
    assert [(row.times_torch, row.fastest, row.precision) for row in eager] == [(1.0, False, "float32")] * 2
    assert all(row.times_torch is not None and row.times_torch > 0 for row in rows)


@pytest.mark.parametrize("contender", CPU, ids=lambda contender: contender.runtime)
def test_memory_is_what_a_network_takes(contender: Contender) -> None:
    """A network with 64 MiB of weights takes about that, or twice that, and a tiny one next to nothing."""
    if not memory.STATUS.exists():
        pytest.skip("memory is read from Linux's /proc")
    wide = np.random.default_rng(0).normal(size=(4096, 4096, 1, 1)).astype(np.float32)
    nodes = [
        onnx_graphs.helper.make_node("Conv", ["x", "first"], ["middle"]),
        onnx_graphs.helper.make_node("Conv", ["middle", "second"], ["y"]),
    ]
    constants = [onnx_graphs.tensor(wide[:, :3], "first"), onnx_graphs.tensor(wide, "second")]
    large = onnx_graphs.network(nodes, constants, outputs=[("y", onnx_graphs.FLOAT, [1, 4096, "h", "w"])])
    (case,) = cases(detector(large.SerializeToString(), input={"shape": [1, 3, 4, 4]}), noise(), (1,))
    (small,) = cases(tiny_models.colours(), noise(), (1,))
    grown, little = memory.growth(contender, case), memory.growth(contender, small)
    assert grown is not None
    assert little is not None
    assert 30 < grown < 250
    assert little < 20


def test_models_come_from_the_store(tmp_path: Path) -> None:
    """All that are served, or those named; what is not there is a sentence."""
    repository = open_repository(Settings(models_dir=tmp_path))
    for version in ("1", "2"):
        repository.publish(tiny_models.colours(version, scale=float(version)))
    assert list(bench.chosen(repository, [])) == []
    with pytest.raises(ModelError, match="no version of colours is served"):
        list(bench.chosen(repository, ["colours"]))
    repository.promote("colours", "2")
    assert [model.card.version for model in bench.chosen(repository, [])] == ["2"]
    assert [model.card.version for model in bench.chosen(repository, ["colours@1"])] == ["1"]


def stageline(*arguments: str, models: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    return subprocess.run(
        [sys.executable, "-m", "stageline", "bench", "models", *arguments],
        env={**os.environ, "MODELS_DIR": str(models), "COLUMNS": "200"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_table_or_json(tmp_path: Path) -> None:
    """Figures go to stdout, progress to stderr."""
    repository = open_repository(Settings(models_dir=tmp_path))
    repository.publish(tiny_models.colours())
    repository.promote("colours", "1")

    shown = stageline("--device", "cpu", "--batch", "2", "--rounds", "1", models=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "× torch eager" in shown.stdout.splitlines()[0]
    assert sum(line.startswith("colours@1") for line in shown.stdout.splitlines()) >= 2
    assert "measuring colours@1, batch 2" in shown.stderr

    answer = stageline("colours", "--device", "cpu", "--batch", "1", "--rounds", "1", "--json", models=tmp_path)
    rows = json.loads(answer.stdout)
    assert {row["runtime"] for row in rows} >= {"onnxruntime", "openvino"}
    assert all(row["batch"] == 1 and row["device"] == "cpu" and row["milliseconds"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--batch", "0"], 2, "not a list of numbers"),
        (["--device", "gpu"], 2, "is not auto, cpu, cuda or cuda:N"),
        (["--precision", "int8"], 2, "is not auto or float32"),
        (["--device", "cuda:99"], 1, "DEVICE=cuda:99"),
        (["--device", "cpu", "nobody"], 1, "no version of nobody is served"),
        (["--device", "cpu", "--pictures", "nowhere"], 1, "no pictures in nowhere"),
    ],
)
def test_what_is_asked_wrongly_is_answered(arguments: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    """With an exit code and a sentence, never a traceback."""
    answer = stageline(*arguments, models=tmp_path)
    assert answer.returncode == code
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr

"""Batches at the classify stage: together as one by one, in bounded memory, and all by the same models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classify_service.networks import BATCH_SIZE
from stageline.inference import FloatArray
from stageline.pipeline.stage import Task
from tests.support.classify_helpers import both, document, found, named, task, work
from tests.support.face_cases import FACES
from tests.support.tiny_embedder import cells
from tests.support.tiny_models import colours


def real_tasks(data_dir: Path) -> list[Task]:
    """Eight photographs, four with a face, each with a few boxes."""
    boxes = [[0.0, 0.0, 200.0, 150.0], [100.0, 50.0, 180.0, 300.0], [30.0, 200.0, 90.0, 260.0]]
    faces = [(name, [{"score": 0.9, "box": box, "landmarks": points}]) for name, box, points in FACES]
    others = [path.name for path in sorted((data_dir / "coco128" / "images").iterdir())[:4]]
    paths = [(data_dir / "faces" / name, found) for name, found in faces]
    paths += [(data_dir / "coco128" / "images" / name, []) for name in others]
    return [
        task(path.read_bytes(), f"p{i}", detections=[found(box) for box in boxes], faces=faces)
        for i, (path, faces) in enumerate(paths)
    ]


def test_a_batch_gives_what_each_picture_gives_alone(data_dir: Path) -> None:
    """Photographs of many sizes, with objects and faces: the same categories, the same embeddings."""
    tasks = real_tasks(data_dir)
    stage = work(colours(scale=0.02), cells(), classify_min_confidence=0.0)
    assert len(tasks) == stage.batch_size
    for together, (alone,) in zip(stage.run(tasks), [stage.run([one]) for one in tasks], strict=True):
        assert named(together) == named(alone)
        assert together.fields["faces" if "faces" in alone.fields else "categories"]
        assert together.fields.keys() == alone.fields.keys()
        for a, b in zip(together.fields["categories"], alone.fields["categories"], strict=True):
            assert a["confidence"] == pytest.approx(b["confidence"], abs=2e-4)
        for a, b in zip(document(together)["faces"], document(alone)["faces"], strict=True):
            assert a["box"] == b["box"]
            np.testing.assert_allclose(a["embedding"], b["embedding"], atol=1e-5)


def test_pictures_of_a_batch_share_the_networks_calls(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Four pictures and the 24 objects of eight take two calls, their four faces one; no call takes more."""
    stage, calls = both(), []
    for served in stage.models[::2]:
        network = served.now().value.network._network
        run = network.run

        def counted(array: FloatArray, run: Any = run) -> Any:
            calls.append(len(array))
            return run(array)

        monkeypatch.setattr(network, "run", counted)
    stage.run(real_tasks(data_dir))
    assert sorted(calls) == [4, 12, BATCH_SIZE]

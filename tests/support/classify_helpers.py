"""The classify stage over tiny networks, and its tasks, for the tests of it."""

import json
import tempfile
from pathlib import Path
from typing import Any

from classify_service.service import MODEL_LOADERS, Classify, create
from stageline.core.settings import Settings
from stageline.pipeline.message import Message
from stageline.pipeline.stage import StageOutput, Task
from stageline.registry.card import ModelFiles
from stageline.registry.serving import Loaded
from tests.support.tiny_embedder import cells
from tests.support.tiny_models import colours

STORE = tempfile.TemporaryDirectory()  # of models: there are none, so the detector's labels are those of the manifest
SCALE = 0.1  # of the colour classifier: a plain red picture is surely red, a mixed one is not


def work(*models: ModelFiles, **more: Any) -> Classify:
    """The stage with these models, each served under its name; the others are not installed."""
    fields = {"classify_model": "colours", "device": "cpu", "classify_min_confidence": 0.8, **more}
    made = create(Settings(inference_precision="float32", **fields))
    for model in models:
        serve(made, model)
    return made


def serve(made: Classify, model: ModelFiles) -> None:
    """Serve a model from the next batch on."""
    (served,) = [one for one in made.models if one.name == model.card.name]
    settings = Settings(device="cpu", models_dir=Path(STORE.name))
    served.swap(Loaded(model.card, MODEL_LOADERS[model.card.task](model, settings)))


def both() -> Classify:
    """The stage with a classifier and an embedder."""
    return work(colours(scale=SCALE), cells())


def task(data: bytes, image_id: str = "a", **fields: Any) -> Task:
    """A picture's turn, with these fields in its message."""
    message = Message.decode(
        Message.of({"image_id": image_id, "original_path": f"original/{image_id}.jpg", **fields}).raw
    )
    return Task(message, {"original": data})


def found(box: list[float], score: float = 0.9, **more: Any) -> dict[str, Any]:
    """A detection as it is on the wire."""
    return {"label": "thing", "score": score, "box": box, "model": "yolox-nano@1", **more}


def document(output: StageOutput) -> dict[str, Any]:
    """What the stage stored."""
    (stored,) = output.objects
    assert stored.content_type == "application/json"
    return json.loads(stored.data)


def named(output: StageOutput) -> list[tuple[str, Any]]:
    """The categories of an output, each with its box."""
    return [(item["category"], item["box"]) for item in output.fields["categories"]]

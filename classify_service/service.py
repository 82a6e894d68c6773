"""The classify stage."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from classify_service import findings, naming
from classify_service.batch import CropBatch, ModelsInUse, Rows
from classify_service.categories import load_classifier
from classify_service.faces import load_embedder
from stageline.core.settings import Settings
from stageline.pipeline.message import Message
from stageline.pipeline.stage import StageOutput, Task
from stageline.registry.serving import Served
from stageline.store.base import StoredObject

FACENET = "facenet-vggface2"
IMAGENET = "squeezenet1_1-imagenet"
MODEL_LOADERS = {"classification": load_classifier, "face-embedding": load_embedder}


class Classify:
    """original/ and its detections → findings/.

    A picture's `kind` decides: with faces, the faces are embedded and the whole picture is not classified. Objects are
    classified in both kinds.
    """

    batch_size = 8

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rule = naming.Rule(settings.classify_min_confidence, settings.classify_trusted_score)
        self._categories = Served(settings.classify_model, load_classifier, settings)
        self._imagenet = self._categories
        if settings.classify_model != IMAGENET:
            self._imagenet = Served(IMAGENET, load_classifier, settings, optional=True)
        self._faces = Served(FACENET, load_embedder, settings, essential=False)
        self.models: Sequence[Served[Any]] = list(dict.fromkeys((self._categories, self._imagenet, self._faces)))

    def inputs(self, message: Message) -> Mapping[str, str]:
        """Name the original as input."""
        return {"original": message.original_path}

    def run(self, tasks: Sequence[Task]) -> Sequence[StageOutput]:
        """Process a batch of pictures, all with the same models."""
        models = ModelsInUse(self._categories.now(), self._imagenet.now(), self._faces.now())
        batch = CropBatch(models, self._settings.max_image_pixels)
        looked_at = [_look(batch, task) for task in tasks]
        batch.finish()
        return [self._output(task.message, rows, models) for task, rows in zip(tasks, looked_at, strict=True)]

    def _output(self, message: Message, rows: Rows, models: ModelsInUse) -> StageOutput:
        """Return the findings; those of a missing model are absent, and the model is named."""
        key = f"findings/{message.image_id}.json"
        faces = _list(message, "faces")
        fields: dict[str, Any] = {}
        if models.categories:
            found = naming.categories(models.categories, rows, self._detections(message), self._rule)
            fields["categories"], fields["candidates"] = found
        if models.imagenet:
            fields["imagenet"] = findings.imagenet(models.imagenet, rows)
        own = {model.name for model in self.models}  # models that an earlier run missed may be installed now
        before = [name for name in _list(message, "missing_models") if name not in own]
        missing = dict.fromkeys([*before, *self._missing(models, faces)])
        fields["missing_models"] = list(missing)
        document: dict[str, Any] = {"image_id": message.image_id, **fields}
        if models.faces:
            document["faces"] = findings.embeddings(models.faces, rows, faces)
        if faces and (models.faces or any(face.get("embedding") for face in faces)):  # of an earlier run
            fields["faces"] = findings.referring(rows, faces, key)
        return StageOutput([StoredObject(key, json.dumps(document).encode(), "application/json")], fields)

    def _detections(self, message: Message) -> list[Any] | None:
        """Return the detections; None where there are none because the detector was missing."""
        detections = message.fields.get("detections")
        missing = self._settings.detect_model in _list(message, "missing_models")
        return detections if detections or not missing else None

    def _missing(self, models: ModelsInUse, faces: Sequence[Any]) -> list[str]:
        """Return the names of the models that this picture needed, and that this batch does not have."""
        served = (self._categories, models.categories), (self._imagenet, models.imagenet), (self._faces, models.faces)
        lacking = [model for model, loaded in served if loaded is None and not model.optional]
        return [model.name for model in lacking if faces or model is not self._faces]


def _look(batch: CropBatch, task: Task) -> Rows:
    """Add a picture to the batch; a foreign producer may leave out its kind."""
    detections, faces = _list(task.message, "detections"), _list(task.message, "faces")
    kind = task.message.fields.get("kind") or ("face" if faces else "object")
    return batch.add(task.inputs["original"], detections, faces, whole=kind != "face")


def _list(message: Message, name: str) -> list[Any]:
    """Return a field that is a list; empty where a foreign producer left it out."""
    return list(message.fields.get(name) or ())


def create(settings: Settings) -> Classify:
    """Create the stage."""
    return Classify(settings)

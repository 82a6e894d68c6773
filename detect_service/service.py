"""The detect stage."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from detect_service.detectors import load_faces, load_objects
from detect_service.faces import FaceDetector
from detect_service.geometry import to_original
from detect_service.objects import ObjectDetector
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.pipeline.message import Message
from stageline.pipeline.stage import OneByOne, StageOutput, Task
from stageline.registry.serving import Loaded, Served
from stageline.store.base import StoredObject

FACES = "mtcnn"
MODEL_LOADERS = {"object-detection": load_objects, "face-detection": load_faces}


class Detect(OneByOne):
    """grayscale/ (or another folder, by DETECT_ON) and original/ → detections/."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._objects = Served(settings.detect_model, load_objects, settings)
        self._faces = Served(FACES, load_faces, settings)
        self.models = (self._objects, self._faces)

    def inputs(self, message: Message) -> Mapping[str, str]:
        """Name the picture for objects, and the original, in colour, for faces."""
        keys = {"original": message.original_path}
        if self._settings.detect_on == "grayscale":
            keys["picture"] = message.path
        elif self._settings.detect_on == "resized":
            keys["picture"] = f"resized/{message.image_id}.jpg"
        return keys

    def run_one(self, task: Task) -> StageOutput:
        """Find objects and faces, with boxes in the original's pixels."""
        settings, message = self._settings, task.message
        objects, faces = self._objects.now(), self._faces.now()
        missing = [model.name for model, now in ((self._objects, objects), (self._faces, faces)) if now is None]
        face_picture, info = self._decode_at_most(task.inputs["original"], settings.face_max_side)
        size = (info.width, info.height)
        if "picture" in task.inputs:
            picture, _ = codec.decode(task.inputs["picture"], settings.max_image_pixels)
        else:
            picture = face_picture
        detections = to_original(_detections(objects, picture, settings.detect_min_score), _size(picture), size)
        found = to_original(_found_faces(faces, face_picture), _size(face_picture), size)
        return _output(message, size, detections, found, missing)

    def _decode_at_most(self, data: bytes, longest: int) -> tuple[codec.Pixels, codec.ImageInfo]:
        pixels, info = codec.decode(data, self._settings.max_image_pixels, at_least=longest)
        return codec.shrink(pixels, *codec.fit(info.width, info.height, longest)), info


def _detections(now: Loaded[ObjectDetector] | None, bgr: codec.Pixels, min_score: float) -> list[dict[str, Any]]:
    """Find objects in BGR uint8 [h, w, 3]; with boxes in its pixels, as in the message; none without a model."""
    if now is None:
        return []
    return [
        {"label": found.label, "score": found.score, "box": list(found.box), **now.card.stamp}
        for found in now.value.detect(bgr, min_score)
    ]


def _found_faces(now: Loaded[FaceDetector] | None, bgr: codec.Pixels) -> list[dict[str, Any]]:
    """Find faces in BGR uint8 [h, w, 3]; with boxes and landmarks in its pixels; none without a model."""
    if now is None:
        return []
    return [
        {
            "score": face.score,
            "box": list(face.box),
            "landmarks": [list(point) for point in face.landmarks],
            **now.card.stamp,
        }
        for face in now.value.detect(bgr)
    ]


def _size(pixels: codec.Pixels) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]


def _output(
    message: Message,
    size: tuple[int, int],
    detections: Sequence[Mapping[str, Any]],
    faces: Sequence[Mapping[str, Any]],
    missing: Sequence[str],
) -> StageOutput:
    fields: dict[str, Any] = {
        "origin_w": size[0],
        "origin_h": size[1],
        "detections": detections,
        "faces": faces,
        "kind": "face" if faces else "object",
        "missing_models": list(missing),
    }
    document = json.dumps({"image_id": message.image_id, **fields}, indent=2).encode()
    return StageOutput([StoredObject(f"detections/{message.image_id}.json", document, "application/json")], fields)


def create(settings: Settings) -> Detect:
    """Create the stage."""
    return Detect(settings)

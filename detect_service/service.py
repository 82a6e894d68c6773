"""The wiring of the detect stage."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from detect_service.detectors import Detectors
from detect_service.geometry import to_original
from stageline import images
from stageline.message import Message
from stageline.settings import Settings
from stageline.stage import OneByOne, Outcome, StoredObject, Task


class Detect(OneByOne):
    """grayscale/ (or what DETECT_ON says) and original/ → detections/."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._detectors = Detectors(settings)

    def missing_models(self) -> Sequence[str]:
        """Name the detectors that are not there; those that have come meanwhile are taken up first."""
        self._detectors.look()
        return self._detectors.missing()

    def inputs(self, message: Message) -> Mapping[str, str]:
        """Ask for the picture to look for objects in, and the original, in colour, for faces."""
        keys = {"original": message.original_path}
        if self._settings.detect_on == "grayscale":
            keys["picture"] = message.path
        elif self._settings.detect_on == "resized":
            keys["picture"] = f"resized/{message.image_id}.jpg"
        return keys

    def run_one(self, task: Task) -> Outcome:
        """Find objects and faces, and put their boxes into the original's pixels."""
        self._detectors.look()
        settings, message = self._settings, task.message
        face_picture, info = self._decode_at_most(task.inputs["original"], settings.face_max_side)
        size = (info.width, info.height)
        if "picture" in task.inputs:
            picture, _ = images.decode(task.inputs["picture"], settings.max_image_pixels)
        else:
            picture = face_picture
        detections = to_original(self._detectors.objects(picture), _size(picture), size)
        faces = to_original(self._detectors.faces(face_picture), _size(face_picture), size)
        return _outcome(message, size, detections, faces, self._detectors.missing())

    def _decode_at_most(self, data: bytes, longest: int) -> tuple[images.Pixels, images.ImageInfo]:
        pixels, info = images.decode(data, self._settings.max_image_pixels, at_least=longest)
        return images.shrink(pixels, *images.fit(info.width, info.height, longest)), info


def _size(pixels: images.Pixels) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]


def _outcome(
    message: Message,
    size: tuple[int, int],
    detections: Sequence[Mapping[str, Any]],
    faces: Sequence[Mapping[str, Any]],
    missing: Sequence[str],
) -> Outcome:
    fields: dict[str, Any] = {
        "origin_w": size[0],
        "origin_h": size[1],
        "detections": detections,
        "faces": faces,
        "kind": "face" if faces else "object",
        "missing_models": list(missing),
    }
    document = json.dumps({"image_id": message.image_id, **fields}, indent=2).encode()
    return Outcome([StoredObject(f"detections/{message.image_id}.json", document, "application/json")], fields)


def create(settings: Settings) -> Detect:
    """Make the stage's work; models that are missing are fetched first."""
    return Detect(settings)

"""The wiring of the tag stage, the end of the line."""

from collections.abc import Mapping
from typing import Any

from stageline.core.errors import SettingsError
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.pipeline.message import Message
from stageline.pipeline.stage import OneByOne, StageOutput, Task
from stageline.registry.install import manifest
from stageline.store.base import StoredObject
from tag_service.blur import blur_regions, regions_to_hide
from tag_service.draw import draw_findings

FACE = "face"
DETECTION = "object-detection"


class Tag(OneByOne):
    """original/ → tagged/ and blurred/."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def inputs(self, message: Message) -> Mapping[str, str]:
        """Ask for the original."""
        return {"original": message.original_path}

    def run_one(self, task: Task) -> StageOutput:
        """Hide, then draw; no privacy copy is written while a model that should find what to hide is missing."""
        settings, message = self._settings, task.message
        pixels, _ = codec.decode(task.inputs["original"], settings.max_image_pixels)
        detections = message.fields.get("detections") or []
        faces = message.fields.get("faces") or []
        objects: list[StoredObject] = []
        fields: dict[str, Any] = {"tagged_path": f"tagged/{message.image_id}.jpg", "blurred_path": None}
        if not self._blind(message):
            fields["blurred_path"] = f"blurred/{message.image_id}.jpg"
            regions = regions_to_hide(detections, faces, settings.blur_classes, heads=settings.blur_heads)
            fields["blurred_regions"] = [[round(edge, 1) for edge in region] for region in regions]
            hidden = blur_regions(pixels.copy(), regions) if regions else pixels
            objects.append(self._jpeg(fields["blurred_path"], hidden))
            del hidden
        tagged = draw_findings(pixels, detections, faces, message.fields.get("categories") or [])
        objects.insert(0, self._jpeg(fields["tagged_path"], tagged))
        return StageOutput(objects, {**fields, "path": fields["tagged_path"]})

    def _blind(self, message: Message) -> bool:
        """Whether something that must be hidden was not looked for."""
        missing = {task for name in message.fields.get("missing_models") or () for task in self._tasks(name)}
        wanted, heads = self._settings.blur_classes, self._settings.blur_heads
        no_faces = "face-detection" in missing or message.fields.get("faces") is None
        no_objects = DETECTION in missing or message.fields.get("detections") is None
        return (no_faces and (heads or FACE in wanted)) or (no_objects and (heads or bool(wanted - {FACE})))

    def _tasks(self, model: str) -> set[str]:
        """Return what a model may be for; one that is not known here might be a detector of somebody's own."""
        own = "classification" if model == self._settings.classify_model else DETECTION
        known = str(manifest().get(model, {}).get("task", own))
        # DETECT_MODEL was to find objects, whatever its name says; as "mtcnn" it may stand for the faces' model too.
        return {known, DETECTION} if model == self._settings.detect_model else {known}

    def _jpeg(self, key: str, pixels: codec.Pixels) -> StoredObject:
        return StoredObject(key, codec.encode_jpeg(pixels, self._settings.jpeg_quality), "image/jpeg")


def create(settings: Settings) -> Tag:
    """Make the stage's work.

    Raises:
        SettingsError: BLUR_CLASSES names what no model finds, so that it would never be hidden.
    """
    detectors = [entry for entry in manifest().values() if entry.get("task") == DETECTION]
    known = {FACE, *(label.casefold() for entry in detectors for label in entry.get("labels", ()) if label)}
    unknown = settings.blur_classes - known
    if unknown and settings.detect_model in manifest():  # a detector of one's own has labels of its own
        names = ", ".join(sorted(unknown))
        raise SettingsError(f"BLUR_CLASSES: nothing finds {names}; there are: {', '.join(sorted(known))}")
    return Tag(settings)

"""The wiring of the grayscale stage."""

from collections.abc import Mapping

from grayscale_service.grayscale import to_gray
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.pipeline.message import Message
from stageline.pipeline.stage import OneByOne, StageOutput, Task
from stageline.store.base import StoredObject


class Grayscale(OneByOne):
    """resized/ → grayscale/."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def inputs(self, message: Message) -> Mapping[str, str]:
        """Ask for what the stage before wrote."""
        return {"picture": message.path}

    def run_one(self, task: Task) -> StageOutput:
        """Decode, grey, encode."""
        pixels, _ = codec.decode(task.inputs["picture"], self._settings.max_image_pixels)
        key = f"grayscale/{task.message.image_id}.jpg"
        encoded = codec.encode_jpeg(to_gray(pixels), self._settings.jpeg_quality)
        return StageOutput([StoredObject(key, encoded, "image/jpeg")], {"path": key})


def create(settings: Settings) -> Grayscale:
    """Make the stage's work."""
    return Grayscale(settings)

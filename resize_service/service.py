"""The wiring of the resize stage."""

from collections.abc import Mapping

from resize_service.resize import target_size
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.pipeline.message import Message
from stageline.pipeline.stage import OneByOne, StageOutput, Task
from stageline.store.base import StoredObject


class Resize(OneByOne):
    """original/ → resized/."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def inputs(self, message: Message) -> Mapping[str, str]:
        """Ask for the original."""
        return {"original": message.original_path}

    def run_one(self, task: Task) -> StageOutput:
        """Decode upright, shrink, encode."""
        settings, data = self._settings, task.inputs["original"]
        info = codec.probe(data, settings.max_image_pixels)
        width, height = target_size(info.width, info.height, settings.resize_scale, settings.resize_min_side)
        pixels, _ = codec.decode(data, settings.max_image_pixels, at_least=max(width, height))
        small = codec.shrink(pixels, width, height)
        key = f"resized/{task.message.image_id}.jpg"
        stored = StoredObject(key, codec.encode_jpeg(small, settings.jpeg_quality), "image/jpeg")
        seen = {"origin_w": info.width, "origin_h": info.height, "orientation": info.orientation}
        return StageOutput([stored], {"path": key, **seen})


def create(settings: Settings) -> Resize:
    """Make the stage's work."""
    return Resize(settings)

"""The line: every stage in its order. This table is the one place that knows it."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stageline.core.settings import Settings
    from stageline.pipeline.stage import Work


@dataclass(frozen=True)
class Stage:
    """One step of the line: the queue it reads, and the package whose ``service.create`` makes its work."""

    name: str
    queue: str
    package: str

    def load(self, settings: "Settings") -> "Work":
        """Import the stage's package and make its work, models loaded."""
        work: Work = import_module(f"{self.package}.service").create(settings)
        return work


DOOR_PACKAGE = "grab_service"  # takes uploads, and feeds the first queue
CATALOGUE_PACKAGE = "catalogue_service"  # writes down what came of each picture
LINE = (
    Stage("resize", "resize_queue", "resize_service"),
    Stage("grayscale", "grayscale_queue", "grayscale_service"),
    Stage("detect", "objectdetect_queue", "detect_service"),
    Stage("classify", "classify_queue", "classify_service"),
    Stage("tag", "tag_queue", "tag_service"),
)


def stage(name: str) -> Stage:
    """Return the stage of that name.

    Raises:
        KeyError: the line has no such stage.
    """
    for candidate in LINE:
        if candidate.name == name:
            return candidate
    raise KeyError(name)


def after(current: Stage) -> Stage | None:
    """Return the stage that follows, or None at the end of the line."""
    position = LINE.index(current) + 1
    return LINE[position] if position < len(LINE) else None

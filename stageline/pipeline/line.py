"""The line: every stage in its order. This table is the one place that knows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stageline.core.settings import Settings
    from stageline.registry.validation import Loader

LOADERS = "MODEL_LOADERS"  # in a stage's service.py: the loader of each task of a model card that the stage serves


@dataclass(frozen=True)
class Folder:
    """A folder of the bucket. ``title`` is the page's name for the pictures in it; "" means that it holds none."""

    name: str
    title: str = ""


@dataclass(frozen=True)
class Stage:
    """One step of the line.

    Attributes:
        name: what it is called everywhere, and the name of its service on a cluster.
        queue: the Redis list that it reads.
        package: the package whose ``service.create`` makes its work; it ends in ``_service``.
        folders: the folders of the bucket that it writes, each of which no other stage writes.
    """

    name: str
    queue: str
    package: str
    folders: tuple[Folder, ...] = ()

    def load(self, settings: "Settings") -> Any:
        """Import the stage's package and make its work, a `stageline.pipeline.stage.Work`, with its models loaded."""
        return import_module(f"{self.package}.service").create(settings)


API_PACKAGE = "grab_service"  # takes uploads, and feeds the first queue
CATALOGUE_PACKAGE = "catalogue_service"  # writes down what came of each picture
LINE = (
    Stage("resize", "resize_queue", "resize_service", (Folder("resized", "Resized"),)),
    Stage("grayscale", "grayscale_queue", "grayscale_service", (Folder("grayscale", "Grayscale"),)),
    Stage("detect", "objectdetect_queue", "detect_service", (Folder("detections"),)),
    Stage("classify", "classify_queue", "classify_service", (Folder("findings"),)),
    Stage("tag", "tag_queue", "tag_service", (Folder("tagged", "Tagged"), Folder("blurred", "Blurred"))),
)
ORIGINALS = Folder("original", "Original")  # written by the door
RESULTS = Folder("results")  # written by whichever stage a picture ends at
FOLDERS = (ORIGINALS.name, *(folder.name for stage in LINE for folder in stage.folders), RESULTS.name)


def pictures() -> tuple[Folder, ...]:
    """Return the folders that hold pictures, in the order in which they are written."""
    written = (folder for stage in LINE for folder in stage.folders if folder.title)
    return (ORIGINALS, *written)


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


def model_loaders() -> Mapping[str, "Loader[Any]"]:
    """Import every stage's package, and return the loader of each task that a stage serves."""
    found: dict[str, Loader[Any]] = {}
    for each in LINE:
        found |= getattr(import_module(f"{each.package}.service"), LOADERS, {})
    return found

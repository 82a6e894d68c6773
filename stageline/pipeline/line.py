"""The table of stages, in their order, and of the folders of the bucket. No other place lists them."""

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
    """A folder of the bucket. ``title`` is the page's name for its pictures; "" for a folder without pictures."""

    name: str
    title: str = ""


@dataclass(frozen=True)
class Stage:
    """One step of the line.

    Attributes:
        name: the name in messages, answers and logs, and of the service on a cluster.
        queue: the Redis list that the stage reads.
        package: the package whose ``service.create`` makes the stage's work; the name ends in ``_service``.
        folders: the folders of the bucket that this stage, and no other, writes.
    """

    name: str
    queue: str
    package: str
    folders: tuple[Folder, ...] = ()

    def load(self, settings: "Settings") -> Any:
        """Import the stage's package and return its `stageline.pipeline.stage.Work`, with its models loaded."""
        return import_module(f"{self.package}.service").create(settings)


API_PACKAGE = "grab_service"  # takes uploads, and writes to the first queue
CATALOGUE_PACKAGE = "catalogue_service"  # writes the catalogue
LINE = (
    Stage("resize", "resize_queue", "resize_service", (Folder("resized", "Resized"),)),
    Stage("grayscale", "grayscale_queue", "grayscale_service", (Folder("grayscale", "Grayscale"),)),
    Stage("detect", "objectdetect_queue", "detect_service", (Folder("detections"),)),
    Stage("classify", "classify_queue", "classify_service", (Folder("findings"),)),
    Stage("tag", "tag_queue", "tag_service", (Folder("tagged", "Tagged"), Folder("blurred", "Blurred"))),
)
ORIGINALS = Folder("original", "Original")  # written by the API
RESULTS = Folder("results")  # written by the stage at which a picture ends
FOLDERS = (ORIGINALS.name, *(folder.name for stage in LINE for folder in stage.folders), RESULTS.name)


def pictures() -> tuple[Folder, ...]:
    """Return the folders that hold pictures, in the order of the line."""
    return (ORIGINALS, *(folder for stage in LINE for folder in stage.folders if folder.title))


def stage(name: str) -> Stage:
    """Return the stage with this name.

    Raises:
        KeyError: the line has no such stage.
    """
    return {each.name: each for each in LINE}[name]


def after(current: Stage) -> Stage | None:
    """Return the next stage, or None after the last."""
    position = LINE.index(current) + 1
    return LINE[position] if position < len(LINE) else None


def model_loaders() -> Mapping[str, "Loader[Any]"]:
    """Import every stage's package, and return the loader of each task that a stage serves."""
    found: dict[str, Loader[Any]] = {}
    for each in LINE:
        found |= getattr(import_module(f"{each.package}.service"), LOADERS, {})
    return found

"""Folders of pictures, for the tests of `stageline upload`."""

from pathlib import Path

from stageline.cli import folders
from tests.support.api_client import JPEG


def put(folder: Path, *names: str) -> None:
    """Make pictures of these names, and the folders around them."""
    for place, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG + b"%d" % place)


def names(found: folders.FoundPictures, folder: Path) -> list[str]:
    """What is sent, as seen from the folder."""
    return [str(path.relative_to(folder)) for path in found.pictures]

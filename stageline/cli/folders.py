"""Finds the pictures in folders; what is left out is reported with its reason."""

import os
import stat
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from stageline.cli.common import note
from stageline.imaging.codec import ENDINGS

# Left by file managers and storage servers beside pictures; some of it has the names of pictures.
SYSTEM = ("__macosx", ".appledouble", ".ds_store", "thumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin",
    ".@__thumb", ".thumbnails", ".trashes", ".spotlight-v100", ".fseventsd")  # fmt: skip
APPLE_DOUBLE = "._"  # the prefix of macOS's companion files on a foreign disk
MAX_NAMED = 3
NO_PICTURE = "no picture by its ending"
OF_THE_SYSTEM = "kept by a file manager or a storage server"
NOT_REGULAR = "no regular file"
LEADS_NOWHERE = "a link that leads nowhere"
LEADS_BACK = "a link to a folder that is looked into anyway, or holds one that is"
TAKEN = "taken already"
UNREADABLE = "cannot be read"


@dataclass
class FoundPictures:
    """The pictures to send, and what was left out, by its reason."""

    pictures: list[Path] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    @property
    def unreadable(self) -> int:
        """The number of folders and files that could not be read: they may be, or hold, pictures."""
        return len(self.left_out.get(UNREADABLE, ()))

    def leave_out(self, path: Path, reason: str) -> None:
        """Add a path that is not sent."""
        self.left_out.setdefault(reason, []).append(path)

    def report(self) -> None:
        """Print to stderr what was left out: how many paths, why, and the first of their names."""
        for reason, paths in self.left_out.items():
            names = ", ".join(str(path) for path in paths[:MAX_NAMED])
            note(f"left out {len(paths)} ({reason}): {names}{', …' if len(paths) > MAX_NAMED else ''}")


def pictures_in(paths: Sequence[Path]) -> FoundPictures:
    """Return the given files and the pictures in the given folders; print to stderr what is left out.

    From a folder, regular files with a picture's ending are taken, each real file once, even if links lead to it.

    Raises:
        typer.BadParameter: there are no pictures, or one of the paths is neither a regular file nor a folder.
    """
    walk = _Walk()
    for path in paths:
        mode = _mode(path)
        if stat.S_ISREG(mode):
            walk.found.pictures.append(path)  # whatever its name: it was given explicitly
            walk.files.add(os.path.realpath(path))
        elif not mode:
            raise typer.BadParameter(f"{path}: no such file or folder")
        elif not stat.S_ISDIR(mode):
            raise typer.BadParameter(f"{path}: this is neither a regular file nor a folder; name one of these")
    for path in paths:
        if stat.S_ISDIR(_mode(path)):
            walk.through(path)
    walk.found.report()
    if not walk.found.pictures:
        raise typer.BadParameter(f"no pictures there; by their ending, {', '.join(ENDINGS)} are taken")
    return walk.found


class _Walk:
    """A walk through folders: real entries come before the targets of links, so that a file keeps its name."""

    def __init__(self) -> None:
        self.found = FoundPictures()
        self.files: set[str] = set()  # the real paths of the files that are taken
        self._folders: set[str] = set()  # and of the folders that were read
        self._links: deque[Path] = deque()

    def through(self, folder: Path) -> None:
        """Add the pictures of a folder and of those below it."""
        taken = self._in(folder)
        while self._links:
            link = self._links.popleft()
            if not stat.S_ISDIR(_mode(link)):
                taken += self._picture(link)
            elif self._is_cycle(link):
                self.found.leave_out(link, LEADS_BACK)
            else:
                taken += self._in(link)
        self.found.pictures += sorted(taken)

    def _is_cycle(self, link: Path) -> bool:
        """Return whether a link leads to a folder that was read, or to a parent of one, which was not given."""
        real = os.path.realpath(link)
        around = real.rstrip("/") + "/"
        return real in self._folders or any(folder.startswith(around) for folder in self._folders)

    def _in(self, top: Path) -> list[Path]:
        taken: list[Path] = []
        folders = [top]
        while folders:
            folder = folders.pop()
            real = os.path.realpath(folder)
            if real in self._folders:
                continue
            self._folders.add(real)
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                self.found.leave_out(folder, UNREADABLE)
                continue
            for entry in entries:
                path = folder / entry.name
                if entry.name.startswith(APPLE_DOUBLE) or entry.name.lower() in SYSTEM:
                    self.found.leave_out(path, OF_THE_SYSTEM)
                elif entry.is_symlink():
                    self._links.append(path)
                elif entry.is_dir():
                    folders.append(path)
                else:
                    taken += self._picture(path)
        return taken

    def _picture(self, path: Path) -> list[Path]:
        """Return the path if it is to be sent; an empty list if it was left out."""
        reason = self._reason_to_skip(path)
        if reason is None:
            self.files.add(os.path.realpath(path))
            return [path]
        self.found.leave_out(path, reason)
        return []

    def _reason_to_skip(self, path: Path) -> str | None:
        mode = _mode(path)
        if not mode:
            return LEADS_NOWHERE if path.is_symlink() else UNREADABLE
        if not stat.S_ISREG(mode):
            return NOT_REGULAR
        if path.suffix.lower() not in ENDINGS:
            return NO_PICTURE
        return TAKEN if os.path.realpath(path) in self.files else None


def _mode(path: Path) -> int:
    """Return the mode of a file, or of a link's target; 0 if it does not exist or cannot be read."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0

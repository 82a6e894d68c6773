"""A folder as the bucket: the object store of the embedded line."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from stageline.core.errors import NotFound, Unavailable
from stageline.store.base import MAX_OBJECT_BYTES, ObjectStat, StoredObject, check_size

TEMPORARY = ".part-"
LEFT_SECONDS = 3600.0  # a temporary file of this age was left by a process that died


class FolderStore:
    """Objects as files below ``root``; a file gets its name only once it is complete and on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._was_there = False
        self._clean_again = 0.0

    def get(self, key: str, at_most: int = MAX_OBJECT_BYTES) -> bytes:
        """Read an object; see ObjectStore."""
        path = self._file(key)
        with self._reading(key):
            check_size(key, path.stat().st_size, at_most)
            return path.read_bytes()

    def stat(self, key: str) -> ObjectStat:
        """Return an object's metadata, for which the whole file is read; see ObjectStore."""
        with self._reading(key), self._file(key).open("rb") as file:
            found = os.fstat(file.fileno())
            etag = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return ObjectStat(found.st_size, etag, datetime.fromtimestamp(found.st_mtime, UTC))

    def put(self, item: StoredObject) -> None:
        """Write an object; see ObjectStore."""
        self.put_all([item])

    def put_all(self, items: Sequence[StoredObject]) -> None:
        """Write several objects; see ObjectStore."""
        targets = [(self._file(item.key), item.data) for item in items]
        with _writing(self._root):
            self._find_root()
            for target, data in targets:
                _make_folder(target.parent)
                _write(target, data)
            for folder in {target.parent for target, _ in targets}:
                _sync(folder)

    def delete(self, key: str) -> None:
        """Remove an object; see ObjectStore."""
        with _writing(self._root):
            self._file(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        """List keys; see ObjectStore."""
        with self._reading(prefix):
            found = self._keys(prefix)
        yield from found

    def _keys(self, prefix: str) -> list[str]:
        top, _, beginning = prefix.rpartition("/")
        folder = self._root / top
        begun = folder.iterdir() if folder.is_dir() else ()
        found = (
            path
            for entry in begun
            if entry.name.startswith(beginning)
            for path in ((entry, *entry.rglob("*")) if entry.is_dir() else (entry,))
        )
        files = (path for path in found if not path.name.startswith(TEMPORARY) and path.is_file())
        return sorted(path.relative_to(self._root).as_posix() for path in files)

    def check(self) -> None:
        """Create the folder if it is missing, and check that it is writable; see ObjectStore."""
        with _writing(self._root):
            self._find_root()
            self._clean()
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise Unavailable(f"the folder {self._root} cannot be written to")

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            if not self._root.is_dir():  # the disk may be unmounted: the object is not known to be missing
                raise Unavailable(f"the folder {self._root} is not there") from None
            raise NotFound(f"{key} is not in {self._root}") from None
        except OSError as error:
            raise Unavailable(f"the folder {self._root} cannot be read: {error}") from error

    def _find_root(self) -> None:
        """Create the folder the first time; never replace a folder that disappeared with an empty one."""
        if not self._root.is_dir():
            if self._was_there:
                raise Unavailable(f"the folder {self._root} is gone: bring it back, or start again with an empty one")
            _make_folder(self._root)
        self._was_there = True

    def _clean(self) -> None:
        """Once an hour, remove temporary files that are older than an hour: their writers died."""
        if time.monotonic() < self._clean_again:
            return
        self._clean_again = time.monotonic() + LEFT_SECONDS
        for path in self._root.rglob(f"{TEMPORARY}*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - LEFT_SECONDS:
                    path.unlink()

    def _file(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise NotFound(f"{key!r} is no key")
        return self._root.joinpath(*parts)


def _write(target: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents durably: they survive a power cut."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Flush a folder's list of names to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the folder {root} cannot be written to: {error}") from error

"""A folder as the bucket: the embedded line's store, which a person can browse."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from stageline.errors import NotFound, Unavailable
from stageline.stage import StoredObject

TEMPORARY = ".part-"


class FolderStore:
    """Objects as files below ``root``; a file appears under its name only when it is whole and on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def get(self, key: str) -> bytes:
        """Read an object; see ObjectStore."""
        try:
            return self._file(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NotFound(f"{key} is not in {self._root}") from None
        except OSError as error:
            raise Unavailable(f"the folder {self._root} cannot be read: {error}") from error

    def put(self, item: StoredObject) -> None:
        """Write an object; see ObjectStore."""
        target = self._file(item.key)
        with _writing(self._root):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=TEMPORARY)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(item.data)
                    file.flush()
                    os.fdatasync(file.fileno())
                Path(temporary).chmod(0o644)
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    def put_all(self, items: Sequence[StoredObject]) -> None:
        """Write several objects; see ObjectStore."""
        for item in items:
            self.put(item)

    def delete(self, key: str) -> None:
        """Remove an object; see ObjectStore."""
        with _writing(self._root):
            self._file(key).unlink(missing_ok=True)

    def keys(self, prefix: str) -> Iterator[str]:
        """List keys; see ObjectStore."""
        top = self._root / prefix.rpartition("/")[0]
        found = (path for path in top.rglob("*") if path.is_file() and not path.name.startswith(TEMPORARY))
        keys = (path.relative_to(self._root).as_posix() for path in found)
        yield from sorted(key for key in keys if key.startswith(prefix))

    def check(self) -> None:
        """Make sure that the folder is there and takes files; see ObjectStore."""
        with _writing(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise Unavailable(f"the folder {self._root} cannot be written to")

    def _file(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise NotFound(f"{key!r} is no key")
        return self._root.joinpath(*parts)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the folder {root} cannot be written to: {error}") from error

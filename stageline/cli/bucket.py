"""``stageline bucket``: exports the buckets to a folder, and imports them from it, by rclone."""

import shutil
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stageline.cli.common import AsJson, attached_settings, note, print_json, say
from stageline.core import logs
from stageline.core.errors import StagelineError, Unavailable
from stageline.core.settings import Settings
from stageline.store import CachedStore, FolderStore, ObjectStore, open_models_store, open_store, rclone

app = typer.Typer(no_args_is_help=True, help="The buckets of pictures and of models: count, export, import.")


class BucketName(StrEnum):
    """The name of a bucket."""

    IMAGES = rclone.IMAGES
    MODELS = rclone.MODELS


Bucket = Annotated[BucketName | None, typer.Option("--bucket", help="Only the pictures, or only the models.")]
Folder = Annotated[Path, typer.Argument(help="A folder with images/, models/ and SHA256SUMS.")]


@app.command()
def count(bucket: Bucket = None, as_json: AsJson = False) -> None:
    """Count the objects in each bucket."""
    stores = _stores(_settings(), bucket)
    counts = {name: sum(1 for _ in store.keys("")) if _is_there(store) else 0 for name, store in stores.items()}
    if as_json:
        print_json(counts)
        return
    for name, number in counts.items():
        say(f"{name}: {number} objects")


@app.command("export")
def export(folder: Folder, bucket: Bucket = None) -> None:
    """Copy all objects into a new folder, by rclone; the line may run meanwhile."""
    if folder.exists():
        raise StagelineError(f"{folder} is there already, so nothing was changed: name another folder, or remove it")
    partial = folder.with_name(f"{folder.name}.partial")
    if partial.exists():
        raise StagelineError(f"{partial} was left by an export that was cut off: remove it; nothing was changed")
    _reach(bucket, exporting=True)
    try:
        partial.mkdir(parents=True)
        rclone.run(_script(rclone.Doing.EXPORT, bucket), partial)
        partial.rename(folder)
    except OSError as error:
        raise StagelineError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    note(f"exported {_content(folder)}")
    if bucket is not BucketName.MODELS and not any((folder / rclone.IMAGES).rglob("*")):
        note("there was not one picture: is it the right bucket? (S3_BUCKET, MINIO_ENDPOINT, STAGELINE_DATA)")


@app.command("import")
def restore(
    folder: Folder,
    bucket: Bucket = None,
    check: Annotated[bool, typer.Option("--check", help="Read it through, and write nothing.")] = False,
) -> None:
    """Copy the objects of a folder into the buckets, over what is there under the same names; may be repeated."""
    if folder.is_file():
        raise StagelineError(
            f"{folder} is no folder: scripts/unpack-archive.sh makes one of an archive that Stageline 0.1.0 exported"
        )
    if not check:
        _reach(bucket)
    rclone.run(_script(rclone.Doing.CHECK if check else rclone.Doing.IMPORT, bucket), folder)
    if check:
        note(f"the folder is whole: {_content(folder)}")
        return
    note(f"imported {_content(folder, bucket)}")
    try:
        refresh()
    except Unavailable as error:
        note(str(error))


@app.command()
def refresh() -> None:
    """Let go of the copies in the hot cache, after something else, as rclone, changed the buckets."""
    store = open_store(_settings())
    if isinstance(store, CachedStore):
        store.drop_copies()


@app.command()
def script(doing: rclone.Doing, bucket: Bucket = None) -> None:
    """Print the script by which rclone does it elsewhere, for `sh -s FOLDER`; the store's keys are in it."""
    if sys.stdout.isatty():
        raise typer.BadParameter("the store's keys are in it, and no terminal should show them: send it on with |")
    sys.stdout.write(_script(doing, bucket))


def _reach(bucket: BucketName | None, *, exporting: bool = False) -> None:
    """Check that each store answers, for an earlier and clearer error than rclone's."""
    for name, store in _stores(_settings(), bucket).items():
        if not _is_there(store) and exporting and name == rclone.IMAGES:
            raise Unavailable("the bucket of pictures is not there: is it the right one? (S3_BUCKET, MINIO_ENDPOINT)")


def _script(doing: rclone.Doing, bucket: BucketName | None) -> str:
    """Return the script; create buckets that are folders, since rclone creates only those of a store."""
    found = _settings()
    stores = _stores(found, bucket)
    for store in stores.values():
        if doing is rclone.Doing.IMPORT and isinstance(store, FolderStore):
            store.check()
    return rclone.script(found, doing, stores)


def _settings() -> Settings:
    found = attached_settings()
    logs.configure(found, "bucket")
    return found


def _stores(found: Settings, bucket: BucketName | None) -> dict[str, ObjectStore]:
    pictures = found.model_copy(update={"cache_url": None})
    opens: dict[str, Callable[[], ObjectStore]] = {
        rclone.IMAGES: lambda: open_store(pictures),
        rclone.MODELS: lambda: open_models_store(found),
    }
    return {name: opened() for name, opened in opens.items() if bucket in (None, name)}


def _is_there(store: ObjectStore) -> bool:
    """Return whether the bucket exists."""
    try:
        next(iter(store.keys("")), None)
    except Unavailable as error:
        if getattr(error.__cause__, "code", None) == "NoSuchBucket":
            return False
        raise
    return True


def _content(folder: Path, bucket: BucketName | None = None) -> str:
    """Return the number of objects of each bucket in a folder, and their total size, as text."""
    texts = []
    for name in (rclone.IMAGES, rclone.MODELS):
        if bucket in (None, name):
            sizes = [path.stat().st_size for path in (folder / name).rglob("*") if path.is_file()]
            texts.append(f"{name}: {len(sizes)} objects, {sum(sizes)} bytes")
    return ", ".join(texts)

"""``stageline bucket``: what is in the buckets, out as a tar archive and in again."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer

from stageline.cli.common import AsJson, attached_settings, note, print_json, say
from stageline.core import logs
from stageline.core.errors import StagelineError, Unavailable
from stageline.maintenance import archive, unarchive
from stageline.store import ObjectStore, open_models_store, open_store

app = typer.Typer(no_args_is_help=True, help="The buckets of pictures and of models: count, export, import.")


class Which(StrEnum):
    """Which bucket."""

    IMAGES = archive.IMAGES
    MODELS = archive.MODELS


Bucket = Annotated[Which | None, typer.Option("--bucket", help="Only the pictures, or only the models.")]
File = Annotated[str, typer.Argument(help="A tar archive; - for the standard stream.")]


@app.command()
def count(bucket: Bucket = None, as_json: AsJson = False) -> None:
    """Count the objects in each bucket."""
    stores = _stores(bucket)
    counts = {name: sum(1 for _ in store.keys("")) if _is_there(store) else 0 for name, store in stores.items()}
    if as_json:
        print_json(counts)
        return
    for name, number in counts.items():
        say(f"{name}: {number} objects")


@app.command("export")
def export(file: File = "-", bucket: Bucket = None) -> None:
    """Write all objects, and what they are called, as one tar archive; the line may run meanwhile."""
    stores = _stores(bucket, cached=False)
    if archive.MODELS in stores and not _is_there(stores[archive.MODELS]):
        del stores[archive.MODELS]  # as where the models are in each image
    with _output(file) as output:
        done = archive.export(stores, output)
    _tell("exported", done)
    if archive.IMAGES in stores and not done.counts[archive.IMAGES].objects:
        note("there was not one picture: is it the right bucket? (S3_BUCKET, MINIO_ENDPOINT, STAGELINE_DATA)")
    if done.vanished:
        note(f"{done.vanished} were deleted before they were read, and are not in it")
    if done.left_out:
        more = ", …" if done.left_out > len(done.named) else ""
        note(f"{done.left_out} are not the line's, or too large, and are not in it: {', '.join(done.named)}{more}")


@app.command("import")
def restore(
    file: File = "-",
    bucket: Bucket = None,
    check: Annotated[bool, typer.Option("--check", help="Read it through, and write nothing.")] = False,
) -> None:
    """Write the objects of a tar archive, over what is there under the same names; may be repeated."""
    with _input(file) as source:
        done = unarchive.restore({} if check else _stores(bucket), source)
    if check:
        _tell("the archive is whole:", done)
        return
    _tell("imported", done, bucket)
    if done.unchanged:
        note(f"{done.unchanged} of them were there already")


def _stores(bucket: Which | None, *, cached: bool = True) -> dict[str, ObjectStore]:
    found = attached_settings()
    logs.configure(found, "bucket")
    pictures = found if cached else found.model_copy(update={"cache_url": None})
    opens: dict[str, Callable[[], ObjectStore]] = {
        archive.IMAGES: lambda: open_store(pictures),
        archive.MODELS: lambda: open_models_store(found),
    }
    return {name: opened() for name, opened in opens.items() if bucket in (None, name)}


def _is_there(store: ObjectStore) -> bool:
    """Whether the bucket was made yet."""
    try:
        next(iter(store.keys("")), None)
    except Unavailable as error:
        if getattr(error.__cause__, "code", None) == "NoSuchBucket":
            return False
        raise
    return True


def _tell(what: str, done: archive.Done, bucket: Which | None = None) -> None:
    counts = {name: each for name, each in done.counts.items() if bucket in (None, name)}
    note(f"{what} " + ", ".join(f"{name}: {each.objects} objects, {each.bytes} bytes" for name, each in counts.items()))


@contextmanager
def _output(file: str) -> Iterator[IO[bytes]]:
    """Where an archive goes; a file appears under its name when it is whole."""
    if file == "-":
        if sys.stdout.isatty():
            raise typer.BadParameter("an archive is nothing for a terminal: name a file, or send it on with > or |")
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would say it once more at exit
            raise StagelineError("who was to take the archive went away: it is not whole") from None
        except OSError as error:
            raise StagelineError(f"the archive cannot be written: {error}") from error
        return
    partial = Path(f"{file}.partial")
    try:
        with partial.open("wb") as output:
            yield output
            output.flush()
            os.fsync(output.fileno())
        partial.replace(file)
    except OSError as error:
        raise StagelineError(f"{file} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _input(file: str) -> Iterator[IO[bytes]]:
    if file == "-":
        if sys.stdin.isatty():
            raise typer.BadParameter("name an archive, or send one in with < or |")
        yield sys.stdin.buffer
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - closed below; only the opening is to be explained
    except OSError as error:
        raise StagelineError(f"{file} cannot be read: {error}") from error
    with source:
        yield source

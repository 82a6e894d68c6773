"""``stageline models``: lists and installs models, and chooses the served version."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stageline.cli.common import AsJson, note, print_json, print_table, say
from stageline.core import logs, settings
from stageline.core.errors import ModelError, StagelineError
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.registry import validation
from stageline.registry.card import read_folder
from stageline.registry.install import by_default, install, manifest
from stageline.registry.repository import Repository, open_repository, split_reference

app = typer.Typer(no_args_is_help=True, help="The models: list, fetch, publish, promote, roll back, verify.")
Reference = Annotated[str, typer.Argument(metavar="NAME@VERSION", help="A published version.")]
NOTICED = "workers take it up within ten seconds"


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that are published or known, and which version is served."""
    repository, _ = _open()
    published, known = repository.versions(), manifest()
    rows = [_row(name, repository, published.get(name, []), known.get(name)) for name in sorted({*published, *known})]
    if as_json:
        print_json(rows)
        return
    shown = [{**row, "published": ", ".join(row["published"])} for row in rows]
    columns = ["name", "task", "current", "previous", "published", "licence"]
    print_table(columns, [[row[column] or "–" for column in columns] for row in shown])


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which; without, all that need no training libraries.")
    ] = None,
) -> None:
    """Fetch, convert and publish known models: from STAGELINE_MODEL_MIRROR, else from the official addresses."""
    repository, found = _open()

    def one(name: str) -> list[object]:
        card = install(name, repository, found)
        pointer = repository.pointer(name)
        served = pointer.version if pointer else None
        if served != card.version:
            note(f"{name}@{served} goes on being served: stageline models promote {card.reference} changes that")
        return [card.reference, "served" if served == card.version else "published"]

    _each(names or by_default(), one, ["model", ""], "could not be installed")


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="Holds model.json and model.onnx: see docs/adding-a-model.md.")],
    promote_it: Annotated[bool, typer.Option("--promote", help="Serve it at once.")] = False,
) -> None:
    """Publish a model of your own; a version that is published never changes again."""
    repository, found = _open()
    model = read_folder(folder)
    validation.load(model, found, line.model_loaders())
    repository.publish(model)
    say(f"{model.card.reference} is published (sha256 {model.card.sha256})")
    if promote_it:
        repository.promote(model.card.name, model.card.version)
        say(f"{model.card.reference} is current: {NOTICED}")


@app.command()
def promote(reference: Reference) -> None:
    """Serve a version: it is read back from the store and tried first."""
    repository, found = _open()
    name, version = split_reference(reference)
    if version is None:
        versions = ", ".join(repository.versions().get(name, [])) or "none"
        raise StagelineError(f"name a version, as in {name}@1; published of {name}: {versions}")
    validation.load(repository.load(name, version), found, line.model_loaders())
    pointer = repository.promote(name, version)
    say(f"{reference} is current, {pointer.previous or 'none'} was before: {NOTICED}")


@app.command()
def rollback(name: Annotated[str, typer.Argument(help="The model.")]) -> None:
    """Serve the version before again."""
    repository, found = _open()
    before = repository.pointer(name)
    if before is not None and before.previous is not None:
        validation.load(repository.load(name, before.previous), found, line.model_loaders())
    pointer = repository.rollback(name)
    say(f"{name}@{pointer.version} is current again, {pointer.previous} was before: {NOTICED}")


@app.command()
def verify(
    references: Annotated[list[str] | None, typer.Argument(metavar="NAME[@VERSION]", help="Without: all.")] = None,
) -> None:
    """Read published versions back, hold each file against its sha256, and try each as its stage will."""
    repository, found = _open()
    published = repository.versions()
    chosen: list[str] = []
    for reference in references or sorted(published):
        name, version = split_reference(reference)
        chosen += [f"{name}@{each}" for each in ([version] if version else published.get(name, []))]
        if version is None and name not in published:
            raise StagelineError(f"no version of {name} is published")

    def one(reference: str) -> list[object]:
        name, version = split_reference(reference)
        model = repository.load(name, str(version))
        validation.load(model, found, line.model_loaders())
        return [reference, model.card.sha256]

    _each(chosen, one, ["model", "sha256"], "are no good")


def _open() -> tuple[Repository, Settings]:
    found = settings.load()
    logs.configure(found, "models")
    repository = open_repository(found)
    repository.check()
    return repository, found


def _row(name: str, repository: Repository, versions: Sequence[str], known: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "task": None, "licence": None, "current": None, "previous": None}
    if known:
        row |= {"task": known["task"], "licence": known["licence"], "known_version": str(known["version"])}
    try:
        pointer = repository.pointer(name)
        if pointer is not None:
            row |= {"current": pointer.version, "previous": pointer.previous}
            card = repository.card(name, pointer.version)
            row |= {"task": card.task, "licence": card.licence, "sha256": card.sha256, "title": card.title}
            row["accuracy"] = [figure.model_dump() for figure in card.accuracy]
    except ModelError as error:
        note(str(error))
    return {**row, "published": list(versions)}


def _each(names: Sequence[str], one: Callable[[str], list[object]], columns: Sequence[str], failed_how: str) -> None:
    """Call `one` for each model, print a table of the successes, and fail at the end if any failed."""
    rows, failed = [], 0
    for name in names:
        try:
            rows.append(one(name))
        except ModelError as error:
            failed += 1
            note(str(error))
    if rows:
        print_table(columns, rows)
    if failed:
        raise StagelineError(f"{failed} of {len(names)} models {failed_how}")

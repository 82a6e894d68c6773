"""``stageline models``: what models there are, and fetching those that are missing."""

from typing import Annotated

import typer

from stageline import logs, modelstore, settings
from stageline.cli.common import AsJson, note, print_json, print_table
from stageline.errors import ModelError, StagelineError

app = typer.Typer(no_args_is_help=True, help="The models: list them, fetch what is missing.")


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that Stageline knows, and whether each is installed."""
    found = settings.load()
    rows = []
    for name, entry in modelstore.manifest().items():
        installed = modelstore.find(name, found)
        where = str(installed.folder) if installed else None
        rows.append({"name": name, "version": entry["version"], "licence": entry["licence"], "installed": where})
    if as_json:
        print_json(rows)
    else:
        columns = ["name", "version", "licence", "installed"]
        print_table(columns, [[row[column] or "no" for column in columns] for row in rows])


@app.command()
def fetch(names: Annotated[list[str] | None, typer.Argument(help="Which; all, when none is named.")] = None) -> None:
    """Fetch and install models: from STAGELINE_MODEL_MIRROR, else from the official addresses."""
    found = settings.load()
    logs.configure(found, "models")
    rows, failed = [], 0
    for name in names or modelstore.manifest():
        try:
            installed = modelstore.install(name, found)
        except ModelError as error:
            failed += 1
            note(str(error))
            continue
        rows.append([installed.reference, installed.folder])
    if rows:
        print_table(["model", "folder"], rows)
    if failed:
        raise StagelineError(f"{failed} of {failed + len(rows)} models could not be installed")

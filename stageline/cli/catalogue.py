"""``stageline catalogue``: the database of all pictures."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer
from sqlalchemy import Engine

from stageline.broker.keys import OUTCOMES
from stageline.broker.redis_client import connect, reaching_redis
from stageline.broker.status import read_all
from stageline.catalogue import Catalogue, open_engine
from stageline.catalogue.migrate import migrate as bring_up
from stageline.catalogue.migrate import revision
from stageline.catalogue.rebuild import Rebuilt
from stageline.catalogue.rebuild import rebuild as build
from stageline.cli.common import AsJson, attached_settings, note, print_json, print_table, say
from stageline.core import logs
from stageline.core.errors import Unavailable
from stageline.core.settings import Settings
from stageline.store import open_store

app = typer.Typer(no_args_is_help=True, help="The catalogue of pictures: how it stands, migrating, rebuilding it.")
STATEMENT_SECONDS = 600.0


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the tables up to this version; catalogue_service does so at its start."""
    _, engine = _open()
    bring_up(engine)
    report = {"schema": revision(engine)}
    if as_json:
        print_json(report)
    else:
        say(f"the catalogue's schema is {report['schema']}")


@app.command()
def rebuild(as_json: AsJson = False) -> None:
    """Make the catalogue anew from the bucket alone; the line may run meanwhile.

    While Redis is away, pictures in flight go back to their state in the bucket.
    """
    found, engine = _open()
    bring_up(engine)
    done = build(engine, open_store(found), found, _progress, _Moving(found))
    if as_json:
        print_json(asdict(done))
        return
    say(f"{done.results} pictures with results, {done.originals} without; {done.removed} removed")
    if done.skipped:
        say(f"{done.skipped} were no good and are left out; the log says why")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Count the pictures by status, and the outbox events that are not written yet."""
    found, engine = _open()
    report: dict[str, Any] = {"schema": revision(engine), "pictures": Catalogue(engine).counts()}
    report["backlog"] = _backlog(found)
    if as_json:
        print_json(report)
        return
    print_table(["status", "pictures"], sorted(report["pictures"].items()))
    say(f"schema {report['schema']}; {_waiting(report['backlog'])}")


def _open() -> tuple[Settings, Engine]:
    found = attached_settings()
    logs.configure(found, "catalogue")
    return found, open_engine(found, STATEMENT_SECONDS)


def _backlog(found: Settings) -> int | None:
    try:
        with reaching_redis():
            return int(connect(found.redis_url).llen(OUTCOMES))
    except Unavailable as error:
        note(str(error))
        return None


def _waiting(backlog: int | None) -> str:
    return "what waits to be written down is not known" if backlog is None else f"{backlog} outcomes wait"


class _Moving:
    """Returns those of some pictures that Redis knows; none while Redis is away, which is reported once."""

    def __init__(self, found: Settings) -> None:
        self._client = connect(found.redis_url)
        self._is_away = False

    def __call__(self, image_ids: Sequence[str]) -> set[str]:
        if self._is_away:
            return set()
        try:
            live = read_all(self._client, image_ids)
        except Unavailable as error:
            note(f"{error}; the catalogue goes by the bucket alone")
            self._is_away = True
            return set()
        return {image_id for image_id, each in zip(image_ids, live, strict=True) if each is not None}


def _progress(done: Rebuilt) -> None:
    note(f"{done.results + done.originals} pictures")

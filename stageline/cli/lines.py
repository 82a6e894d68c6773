"""``stageline up`` and ``stageline run``."""

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from stageline import line, logs, settings
from stageline.cli.common import AsJson, found_in, print_json, stderr, stdout
from stageline.cli.pictures import pictures_in, send
from stageline.client import Client
from stageline.errors import BadImage
from stageline.monolith import Monolith
from stageline.settings import Settings
from stageline.store import FolderStore
from stageline.up import POLL_SECONDS, Line


def up(
    workers: Annotated[list[str] | None, typer.Option(help="Workers of a stage, as in detect=2; repeatable.")] = None,
    log: Annotated[Path | None, typer.Option(help="Write the logs to this file instead of the terminal.")] = None,
    samples: Annotated[Path | None, typer.Option(help="Send these pictures through once the line is ready.")] = None,
    then_stop: Annotated[bool, typer.Option("--then-stop", help="Stop after the samples.")] = False,
) -> None:
    """Start the whole line on this machine; Ctrl-C stops all of it."""
    found = settings.load()
    logs.configure(found, "up")
    stopping = threading.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signalled, lambda *_: stopping.set())
    file = None
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("ab")
    running = Line(found, _counts(workers or []), file)
    try:
        running.start()
        running.wait_until_ready(stopping)
        if not stopping.is_set():
            _welcome(running.url, found)
        if samples is not None and not stopping.is_set():
            send(Client(running.url), pictures_in([samples]), as_json=False)
            _where(found)
        while not then_stop and not stopping.wait(POLL_SECONDS):
            running.tend()
    finally:
        stderr.print("stopping …")
        running.stop()


def run(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    out: Annotated[Path | None, typer.Option(help="Folder for every stage's output, laid out as the bucket.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send pictures through the whole chain in this one process, with no servers."""
    found = settings.load()
    logs.configure(found, "run")
    paths = pictures_in(pictures)
    if out is None and len(paths) != 1:
        raise typer.BadParameter("with several pictures, name a folder for what is made: --out DIR")
    chain = Monolith(found)
    documents, refused = [], 0
    for path in paths:
        try:
            message, made = chain.run(path.read_bytes(), path.name)
        except BadImage as error:
            refused += 1
            stderr.print(f"{path}: {error}", markup=False)
            continue
        if out is None:
            Path("result.jpg").write_bytes(made[message.fields["tagged_path"]].data)
        else:
            FolderStore(out).put_all(list(made.values()))
        document = json.loads(made[f"results/{message.image_id}.json"].data)
        documents.append(document)
        if not as_json:
            where = "result.jpg" if out is None else out / message.fields["tagged_path"]
            stdout.print(f"{path}: {found_in(document)} → {where}", markup=False)
    if as_json:
        print_json(documents)
    if refused:
        sys.exit(1)


def _counts(given: list[str]) -> dict[str, int]:
    names = {stage.name for stage in line.LINE}
    counts = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in names or not number.isdigit() or int(number) < 1:
            raise typer.BadParameter(f"--workers takes STAGE=NUMBER, a stage of {', '.join(sorted(names))}; not {text}")
        counts[name] = int(number)
    return counts


def _welcome(url: str, found: Settings) -> None:
    stdout.print(f"the line is up: {url}", markup=False)
    stdout.print(f"  send a picture   curl -F image=@picture.jpg {url}/upload", markup=False)
    stdout.print(f"  every stage      {_bucket(found)}", markup=False)


def _where(found: Settings) -> None:
    stdout.print(f"tagged pictures: {_bucket(found)}/tagged    hidden faces and cars: {_bucket(found)}/blurred")


def _bucket(found: Settings) -> str:
    if found.minio_endpoint:
        return f"bucket {found.s3_bucket} at {found.minio_endpoint}"
    return str(found.stageline_data / found.s3_bucket)

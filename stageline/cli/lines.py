"""``stageline up`` and ``stageline run``."""

import json
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Annotated

import typer

from stageline.cli.common import EXIT_FAILED, AsJson, found_in, note, print_json, say
from stageline.cli.folders import pictures_in
from stageline.cli.pictures import send
from stageline.client import Client
from stageline.core import logs, settings
from stageline.core.errors import BadImage, StagelineError
from stageline.core.retrying import LINE_STARTS
from stageline.core.settings import Settings
from stageline.local.monolith import Monolith
from stageline.local.up import Line
from stageline.pipeline import filenames as names
from stageline.pipeline import line
from stageline.store import FolderStore


def up(
    workers: Annotated[list[str] | None, typer.Option(help="Workers of a stage, as in detect=2; repeatable.")] = None,
    log: Annotated[Path | None, typer.Option(help="Write the logs to this file instead of the terminal.")] = None,
    samples: Annotated[Path | None, typer.Option(help="Send these pictures through once the line is ready.")] = None,
    then_stop: Annotated[bool, typer.Option("--then-stop", help="Stop after the samples.")] = False,
) -> None:
    """Start the whole line on this machine; Ctrl-C stops all of it."""
    found = settings.load()
    pictures = None if samples is None else pictures_in([samples]).pictures
    logs.configure(found, "up")
    stopping = threading.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signalled, lambda *_: stopping.set())
    running = Line(found, _counts(workers or []), None if log is None else _open(log))
    failed = 0
    try:
        running.start()
        running.wait_until_ready(stopping)
        if not stopping.is_set():
            _print_urls(running.url, found)
        if pictures is not None and not stopping.is_set():
            failed = _send(running, pictures, stopping)
            say(f"tagged pictures: {_bucket(found)}/tagged    hidden faces and cars: {_bucket(found)}/blurred")
        while not then_stop and not stopping.wait(LINE_STARTS.pause(1)):
            running.tend()
    finally:
        note("stopping …")
        running.stop()
    if then_stop and failed:
        sys.exit(EXIT_FAILED)


def _send(running: Line, pictures: list[Path], stopping: threading.Event) -> int:
    """Send pictures and wait for them; return how many did not complete.

    A separate thread sends; this thread tends the line, since children end with the thread that started them.
    """
    client = Client(running.url)
    pool = ThreadPoolExecutor(1)
    sending = pool.submit(send, client, pictures, as_json=False)
    while not sending.done() and not stopping.wait(LINE_STARTS.pause(1)):
        running.tend()
    client.stop()
    pool.shutdown(wait=False)  # stopped, it ends at the latest when the API does
    return sending.result() if sending.done() else len(pictures)


def run(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    out: Annotated[Path | None, typer.Option(help="Folder for every stage's output, laid out as the bucket.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send pictures through the whole chain in this one process, with no servers."""
    found = settings.load()
    logs.configure(found, "run")
    found_pictures = pictures_in(pictures)
    paths = found_pictures.pictures
    if out is None and len(paths) != 1:
        raise typer.BadParameter("with several pictures, name a folder for what is made: --out DIR")
    chain = Monolith(found)
    documents, refused = [], 0
    for path in paths:
        try:
            name = names.decoded(os.fsencode(path.name))
            message, made = chain.run(path.read_bytes(), name.text, guessed=name.guessed)
        except (BadImage, OSError) as error:
            refused += 1
            note(f"{path}: {error}")
            continue
        if out is None:
            _write("result.jpg", made[message.fields["tagged_path"]].data)
        else:
            FolderStore(out).put_all(list(made.values()))
        document = json.loads(made[f"results/{message.image_id}.json"].data)
        documents.append(document)
        if not as_json:
            where = "result.jpg" if out is None else out / message.fields["tagged_path"]
            say(f"{path}: {found_in(document)} → {where}")
    if as_json:
        print_json(documents)
    if refused or found_pictures.unreadable:
        sys.exit(EXIT_FAILED)


def _open(log: Path) -> IO[bytes]:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("ab")
    except OSError as error:
        raise StagelineError(f"--log {log} cannot be written: {error}") from error


def _write(name: str, data: bytes) -> None:
    try:
        Path(name).write_bytes(data)
    except OSError as error:
        raise StagelineError(f"{name} cannot be written here: {error}; name a folder with --out") from error


def _counts(given: list[str]) -> dict[str, int]:
    names = {stage.name for stage in line.LINE}
    counts = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in names or not number.isdigit() or int(number) < 1:
            raise typer.BadParameter(f"--workers takes STAGE=NUMBER, a stage of {', '.join(sorted(names))}; not {text}")
        counts[name] = int(number)
    return counts


def _print_urls(url: str, found: Settings) -> None:
    say(f"the line is up: {url}   (open it in a browser)")
    say(f"  send a picture   curl -F image=@picture.jpg {url}/upload")
    say(f"  every stage      {_bucket(found)}")


def _bucket(found: Settings) -> str:
    if found.minio_endpoint:
        return f"bucket {found.s3_bucket} at {found.minio_endpoint}"
    return str(found.stageline_data / found.s3_bucket)

"""``stageline upload`` and ``stageline status``, over HTTP."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from stageline.cli.common import (
    DEFAULT_URL,
    EXIT_FAILED,
    AsJson,
    Url,
    found_in,
    print_json,
    print_table,
    stderr,
    stdout,
)
from stageline.client import Client, Refused

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
SENDERS = 4


def upload(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    follow: Annotated[bool, typer.Option("--follow", help="Wait until each has come to its end.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Send pictures to the line; with --follow, wait for what is found."""
    client = Client(url)
    found = pictures_in(paths)
    if follow:
        failed = send(client, found, as_json=as_json)
    else:
        sent, refused = _send_all(client, found)
        failed = len(refused)
        if as_json:
            print_json([{"path": str(path), "image_id": image_id} for image_id, path in sent.items()])
        else:
            print_table(["image_id", "picture"], list(sent.items()))
    if failed:
        sys.exit(EXIT_FAILED)


def status(image_id: str, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Tell where a picture is, and what was found."""
    found = Client(url).get(f"/status/{image_id}")
    if as_json:
        print_json(found)
        return
    stdout.print(f"{image_id}  {found['filename']}  {found['status']}", markup=False)
    rows = [
        [
            name,
            entry["state"],
            entry.get("attempt", ""),
            entry.get("ms", ""),
            entry.get("reason") or entry.get("key", ""),
        ]
        for name, entry in found["stages"].items()
    ]
    print_table(["stage", "state", "attempt", "ms", "key"], rows)
    if found["results"]:
        stdout.print(f"found: {found_in(found['results'])}", markup=False)


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """List the files given, and the pictures in the folders given."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
        elif path.is_file():
            found.append(path)
        else:
            raise typer.BadParameter(f"{path}: no such file or folder")
    if not found:
        raise typer.BadParameter("no pictures there")
    return found


def send(client: Client, paths: Sequence[Path], *, as_json: bool) -> int:
    """Send pictures, wait for all, print what was found; return how many were refused or failed."""
    sent, refused = _send_all(client, paths)
    ended: list[dict[str, Any]] = []
    with _progress() as progress:
        task = progress.add_task("finding", total=len(sent))
        for outcome in client.wait(list(sent)):
            ended.append(outcome)
            progress.advance(task)
    failed = [outcome for outcome in ended if outcome["status"] == "failed"]
    if as_json:
        print_json(ended)
    else:
        ended.sort(key=lambda outcome: list(sent).index(outcome["image_id"]))
        rows = [[sent[o["image_id"]].name, o["status"], _found(o), o["image_id"]] for o in ended]
        print_table(["picture", "status", "found", "image_id"], rows)
        stderr.print(f"{len(ended) - len(failed)} completed, {len(failed)} failed, {len(refused)} refused")
    return len(failed) + len(refused)


def _found(outcome: dict[str, Any]) -> str:
    results = outcome["results"] or {}
    return str(results.get("reason", "")) if outcome["status"] == "failed" else found_in(results)


def _send_all(client: Client, paths: Sequence[Path]) -> tuple[dict[str, Path], list[Path]]:
    """Send pictures, several at a time; return the ids of the accepted, and the refused, with its reason printed."""
    sent: dict[str, Path] = {}
    refused: list[Path] = []
    with _progress() as progress, ThreadPoolExecutor(SENDERS) as pool:
        task = progress.add_task("sending", total=len(paths))
        for path, answer in [(path, pool.submit(client.upload, path)) for path in paths]:
            try:
                sent[answer.result()] = path
            except Refused as error:
                refused.append(path)
                stderr.print(f"{path}: {error}", markup=False)
            progress.advance(task)
    return sent, refused


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=stderr, transient=True)

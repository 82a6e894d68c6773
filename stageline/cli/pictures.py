"""``stageline upload`` and ``stageline status``, over HTTP."""

import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
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
    note,
    print_json,
    print_table,
    say,
    stderr,
)
from stageline.cli.folders import pictures_in
from stageline.client import Client, Refused, Stopped
from stageline.core.errors import Unavailable

SENDERS = 4


@dataclass
class SentPictures:
    """The result of sending pictures: the accepted by id, the refused, and those never sent."""

    accepted: dict[str, Path] = field(default_factory=dict)
    refused: list[Path] = field(default_factory=list)
    unsent: list[Path] = field(default_factory=list)


def upload(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    follow: Annotated[bool, typer.Option("--follow", help="Wait until each has come to its end.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Send pictures to the line; with --follow, wait for what is found.

    Files are sent as they are named; of folders the pictures, and what is left out is said. A folder in them that
    cannot be read counts as something that failed.
    """
    client = Client(url)
    found = pictures_in(paths)
    if follow:
        failed = send(client, found.pictures, as_json=as_json)
    else:
        sent = SentPictures()
        try:
            _send_all(client, found.pictures, sent)
        finally:  # after any error: these are on their way
            failed = len(sent.refused) + len(sent.unsent)
            if as_json:
                print_json([{"path": str(path), "image_id": image_id} for image_id, path in sent.accepted.items()])
            elif sent.accepted:
                print_table(["image_id", "picture"], list(sent.accepted.items()))
    if failed or found.unreadable:
        sys.exit(EXIT_FAILED)


def status(image_id: str, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show where a picture is, and what was found."""
    found = Client(url).status(image_id)
    if as_json:
        print_json(found)
        return
    name = f"{found['filename'] or '(no name)'}{' (a best guess)' if found.get('filename_guessed') else ''}"
    say(f"{found['image_id']}  {name}  {found['status'] or 'unknown'}")
    rows = [
        [
            name,
            *(entry.get(field, "") for field in ("state", "attempt", "ms")),
            entry.get("reason") or entry.get("key") or "",
        ]
        for name, entry in (found.get("stages") or {}).items()
    ]
    print_table(["stage", "state", "attempt", "ms", "key"], rows)
    if found["results"]:
        say(f"found: {found_in(found['results'])}")


def send(client: Client, paths: Sequence[Path], *, as_json: bool) -> int:
    """Send pictures, wait for all, print the findings; return how many did not complete."""
    sent = SentPictures()
    ended: dict[str, dict[str, Any]] = {}
    try:
        _send_all(client, paths, sent)
        with _progress() as progress:
            task = progress.add_task("finding", total=len(sent.accepted))
            for picture in client.wait(list(sent.accepted)):
                ended[picture["image_id"]] = picture
                progress.advance(task)
    finally:  # after any error: print the known results
        bad = _report(sent, ended, as_json=as_json)
    return bad


def _report(sent: SentPictures, ended: dict[str, dict[str, Any]], *, as_json: bool) -> int:
    on_their_way = {
        image_id: {"image_id": image_id, "filename": path.name, "status": "submitted", "results": None}
        for image_id, path in sent.accepted.items()
    }
    statuses = list({**on_their_way, **ended}.values())
    if as_json:
        print_json(statuses)
    elif statuses:
        rows = [[sent.accepted[o["image_id"]].name, o["status"], _found(o), o["image_id"]] for o in statuses]
        print_table(["picture", "status", "found", "image_id"], rows)
    failed = len([picture for picture in statuses if picture["status"] == "failed"])
    counts = {
        "completed": len(ended) - failed,
        "failed": failed,
        "refused": len(sent.refused),
        "still on their way": len(statuses) - len(ended),
        "not sent": len(sent.unsent),
    }
    always = ("completed", "failed", "refused")
    note(", ".join(f"{count} {what}" for what, count in counts.items() if count or what in always))
    return sum(counts.values()) - counts["completed"]


def _found(picture: dict[str, Any]) -> str:
    results = picture["results"] or {}
    if picture["status"] == "failed":
        return str(results.get("reason", ""))
    return found_in(results) if results else ""


def _send_all(client: Client, paths: Sequence[Path], sent: SentPictures) -> None:
    """Send pictures, several at a time, and record the results; the reasons of the refused are printed.

    Raises:
        Unavailable: the line went away; pictures that it accepted before are recorded.
    """
    pool = ThreadPoolExecutor(SENDERS)
    answers = [(path, pool.submit(client.upload, path)) for path in paths]
    try:
        with _progress() as progress:
            task = progress.add_task("sending", total=len(paths))
            for _, answer in answers:
                if isinstance(answer.exception(), Unavailable):
                    break  # the others would fail alike
                progress.advance(task)
    finally:  # also on Ctrl-C
        pool.shutdown(wait=True, cancel_futures=True)
        errors = [_note(sent, path, answer) for path, answer in answers]
    for error in errors:
        if error is not None:
            raise error


def _note(sent: SentPictures, path: Path, answer: Future[str]) -> BaseException | None:
    """Record the result of sending one picture; return an error that is not about this picture."""
    error = None if answer.cancelled() else answer.exception()
    if isinstance(error, Refused):
        sent.refused.append(path)
        note(f"{path}: {error}")
        return None
    if answer.cancelled() or error is not None:
        sent.unsent.append(path)
        return None if isinstance(error, Stopped) else error
    sent.accepted[answer.result()] = path
    return None


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=stderr, transient=True)

"""``stageline queues``, ``stageline reconcile`` and ``stageline dead``: the line's own lists, read from Redis."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from stageline import status
from stageline.cli.common import AsJson, attached_settings, print_json, print_table, stderr, stdout
from stageline.dead import DeadLetters
from stageline.errors import StagelineError
from stageline.queue import Door
from stageline.reconcile import lost_pictures
from stageline.redis_client import connect
from stageline.store import open_store

dead = typer.Typer(no_args_is_help=True, help="Messages that failed for good: list, show, replay or drop them.")
Which = Annotated[
    str, typer.Argument(metavar="ID", help="An image id or its beginning, a number of `dead list`, or all.")
]


def queues(as_json: AsJson = False) -> None:
    """Count what waits, is in flight, is delayed and is dead, by stage."""
    found = attached_settings()
    door = Door(found.redis_url, found.max_queue_size)
    stages = door.depths()
    letters = [content["stage"] for _, content in DeadLetters(door.client).list()]
    for name, counts in stages.items():
        counts["dead"] = letters.count(name)
    if as_json:
        print_json({"stages": stages, "unfinished": door.unfinished()})
        return
    states = ("waiting", "in_flight", "delayed", "dead")
    print_table(["stage", *states], [[name, *(counts[state] for state in states)] for name, counts in stages.items()])
    stdout.print(f"{door.unfinished()} accepted pictures are unfinished; at most {found.max_queue_size} may be")


def reconcile(
    queue: Annotated[bool, typer.Option("--queue", help="Queue them, too.")] = False, as_json: AsJson = False
) -> None:
    """List the originals that have neither a status nor results, as after Redis lost its data."""
    found = attached_settings()
    door = Door(found.redis_url, found.max_queue_size)
    lost = list(lost_pictures(open_store(found), door))
    for message in lost if queue else ():
        opened = status.now()
        fields = {name: str(message.fields[name]) for name in ("filename", "original_path")}
        door.accept(
            message, {**fields, "status": "submitted", "created_at": opened, "updated_at": opened}, limited=False
        )
    if as_json:
        print_json([message.image_id for message in lost])
        return
    for message in lost:
        stdout.print(message.original_path, markup=False)
    stderr.print(f"{len(lost)} lost pictures{', queued' if queue and lost else ''}")


@dead.command("list")
def dead_list(as_json: AsJson = False) -> None:
    """List the dead letters, oldest first."""
    contents = [content for _, content in _letters().list()]
    if as_json:
        print_json(contents)
        return
    rows = [[i, c["image_id"] or "(no message)", c["stage"], c["time"], c["reason"]] for i, c in enumerate(contents, 1)]
    print_table(["#", "image_id", "stage", "time", "reason"], rows)


@dead.command("show")
def dead_show(which: Which) -> None:
    """Print a dead letter whole, with its traceback and its message."""
    print_json([content for _, content in _chosen(_letters(), which)])


@dead.command("replay")
def dead_replay(which: Which) -> None:
    """Send a dead letter down the line again, from the stage where it failed."""
    letters = _letters()
    for raw, content in _chosen(letters, which):
        if letters.replay(raw, content):
            stderr.print(f"queued again at {content['stage']}: {content['image_id']}", markup=False)


@dead.command("drop")
def dead_drop(which: Which) -> None:
    """Forget a dead letter; its original and its results stay in the bucket."""
    letters = _letters()
    for raw, content in _chosen(letters, which):
        if letters.drop(raw):
            stderr.print(f"dropped: {content['image_id'] or content['reason']}", markup=False)


def _letters() -> DeadLetters:
    return DeadLetters(connect(attached_settings().redis_url))


def _chosen(letters: DeadLetters, which: str) -> list[tuple[bytes, Mapping[str, Any]]]:
    found = letters.list()
    if which == "all":
        return found
    if which.isdigit() and 1 <= int(which) <= len(found):
        return [found[int(which) - 1]]
    chosen = [pair for pair in found if (pair[1]["image_id"] or "").startswith(which)]
    if not chosen:
        raise StagelineError(f"no dead letter is called {which!r}; `stageline dead list` shows them")
    return chosen

"""``stageline queues``, ``stageline reconcile`` and ``stageline dead``: the line's lists in Redis."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from stageline.broker import overview
from stageline.broker.dead_letters import DeadLetters
from stageline.broker.producer import Producer
from stageline.broker.redis_client import connect
from stageline.catalogue import Catalogue, open_engine
from stageline.cli.common import EXIT_FAILED, AsJson, attached_settings, note, print_json, print_table, say
from stageline.core import logs
from stageline.core.errors import StagelineError, Unavailable
from stageline.maintenance.reconcile import lost_pictures
from stageline.store import open_store

dead = typer.Typer(no_args_is_help=True, help="Messages that failed for good: list, show, replay or drop them.")
DeadLetter = Mapping[str, Any]
Which = Annotated[
    str,
    typer.Argument(metavar="ID", help="An image id or a beginning that only it has, a number of `dead list`, or all."),
]


def queues(as_json: AsJson = False) -> None:
    """Count what waits, is in flight, is delayed and is dead, by stage; say what is wrong with the line."""
    found = attached_settings()
    producer = Producer(found.redis_url, found.max_queue_size, found.status_ttl)
    stages = producer.depths()
    dead_letters = DeadLetters(producer.client).counts()
    for name, counts in stages.items():
        counts["dead"] = dead_letters.get(name, 0)
    line = overview.read(producer.client, found.lease_seconds)
    problems = [*line.problems, *line.away]
    if as_json:
        print_json({"stages": stages, "unfinished": producer.unfinished(), "problems": problems})
        return
    states = ("waiting", "in_flight", "delayed", "dead")
    print_table(["stage", *states], [[name, *(counts[state] for state in states)] for name, counts in stages.items()])
    say(f"{producer.unfinished()} accepted pictures are unfinished; at most {found.max_queue_size} may be")
    for problem in problems:
        note(problem)


def reconcile(
    queue: Annotated[bool, typer.Option("--queue", help="Queue them, too.")] = False, as_json: AsJson = False
) -> None:
    """List the originals that have neither a status nor results, as after Redis lost its data."""
    found = attached_settings()
    logs.configure(found, "reconcile")
    producer = Producer(found.redis_url, found.max_queue_size, found.status_ttl)
    lost = list(lost_pictures(open_store(found), producer, Catalogue(open_engine(found))))
    for message in lost if queue else ():
        producer.accept(message, limited=False)
    if as_json:
        print_json([message.image_id for message in lost])
        return
    for message in lost:
        say(message.original_path)
    note(f"{len(lost)} lost pictures{', queued' if queue and lost else ''}")


@dead.command("list")
def dead_list(as_json: AsJson = False) -> None:
    """List the dead letters, oldest first."""
    contents = [content for _, content in _dead_letters().list()]
    if as_json:
        print_json(contents)
        return
    rows = [[i, _name(c), c.get("stage"), c.get("time"), c.get("reason")] for i, c in enumerate(contents, 1)]
    print_table(["#", "image_id", "stage", "time", "reason"], rows)


@dead.command("show")
def dead_show(which: Which) -> None:
    """Print a dead letter whole, with its traceback and its message."""
    print_json([content for _, content in _chosen(_dead_letters(), which)])


@dead.command("replay")
def dead_replay(which: Which) -> None:
    """Send a dead letter down the line again, from the stage where it failed."""
    dead_letters = _dead_letters()
    failed = 0
    for raw, content in _chosen_or_fail(dead_letters, which):
        try:
            queued = dead_letters.replay(raw, content)
        except Unavailable:
            raise
        except (StagelineError, KeyError) as error:
            failed += 1
            note(f"not replayed: {_name(content)}: {error}")
            continue
        failed += not queued
        note(f"queued again at {content['stage']}: {_name(content)}" if queued else f"gone already: {_name(content)}")
    _end(failed)


@dead.command("drop")
def dead_drop(which: Which) -> None:
    """Forget a dead letter; its original and its results stay in the bucket."""
    dead_letters = _dead_letters()
    failed = 0
    for raw, content in _chosen_or_fail(dead_letters, which):
        dropped = dead_letters.drop(raw)
        failed += not dropped
        note(f"{'dropped' if dropped else 'gone already'}: {_name(content)}")
    _end(failed)


def _dead_letters() -> DeadLetters:
    return DeadLetters(connect(attached_settings().redis_url))


def _name(content: DeadLetter) -> str:
    return str(content.get("image_id") or "(no message)")


def _end(failed: int) -> None:
    if failed:
        sys.exit(EXIT_FAILED)


def _chosen_or_fail(dead_letters: DeadLetters, which: str) -> Sequence[tuple[bytes, DeadLetter]]:
    chosen = _chosen(dead_letters, which)
    if not chosen:
        raise StagelineError("there are no dead letters")
    return chosen


def _chosen(dead_letters: DeadLetters, which: str) -> Sequence[tuple[bytes, DeadLetter]]:
    """Return the chosen dead letters: all; those of an id; the one of a number; those of the only id that begins so."""
    found = dead_letters.list()
    if which == "all":
        return found
    ids = {str(content["image_id"]) for _, content in found if content.get("image_id")}
    if which not in ids:
        if which.isdecimal() and 1 <= int(which) <= len(found):
            return [found[int(which) - 1]]
        begun = sorted(image_id for image_id in ids if which and image_id.startswith(which))
        if not begun:
            raise StagelineError(f"no dead letter is called {which!r}; `stageline dead list` shows them")
        if len(begun) > 1:
            raise StagelineError(f"{which!r} begins {len(begun)} ids: {', '.join(begun)}; say which")
        which = begun[0]
    return [pair for pair in found if pair[1].get("image_id") == which]

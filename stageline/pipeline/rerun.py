"""Sending a picture down the line again: the message of its next run, from a stage on, made of what the bucket has."""

from collections.abc import Callable, Mapping
from typing import Any

from stageline.core.errors import StagelineError
from stageline.core.timestamps import now
from stageline.pipeline import line
from stageline.pipeline.message import MOST_HISTORY, Message
from stageline.pipeline.results import WAITING

OF_THE_END = ("status", "updated_at", "completed_at", "failed_stage", "reason")  # that results/ adds


class CannotRun(StagelineError):
    """The picture cannot be sent from that stage on: what the stage takes is not there."""


def first_run(uploaded_at: str) -> dict[str, Any]:
    """The fields that say when, and where, a picture's first run began."""
    return {"run": 1, "runs": [{"run": 1, "from": line.LINE[0].name, "created_at": uploaded_at}]}


def prepare(
    document: Mapping[str, Any], stage: str | None, exists: Callable[[str], bool]
) -> tuple[Message, line.Stage]:
    """Make the message of the next run of the picture that results/ says this of.

    Args:
        document: the results document.
        stage: where to begin; None: at the first stage, or, of a picture that waits, where it goes on.
        exists: whether the bucket has an object of that key.

    Raises:
        CannotRun: what that stage takes is gone, or was never made (the text names the first stage that can be run),
            or the document is not one of ours.
    """
    names = [each.name for each in line.LINE]
    goes_on = document.get("status") == WAITING and document.get("until") in names[:-1]
    if stage is None:
        stage = names[names.index(document["until"]) + 1] if goes_on else names[0]
    possible = [name for name in names if _input_is_there(document, name, exists)]
    if stage not in possible:
        instead = f"the first stage that can be run is {possible[0]}" if possible else "its original is gone"
        raise CannotRun(f"the input of {stage} is not in the bucket: {instead}")
    return _next_run(document, stage), line.stage(stage)


def after_failure(message: Message, stage: str, letter: Mapping[str, Any]) -> Message:
    """The message of the next run of a picture that failed, from the stage where it did; see stageline.broker.dead_letters."""
    reason, ended = letter.get("reason"), letter.get("time")
    entry = letter.get("entry")
    failed = entry if isinstance(entry, dict) else {"state": "failed", "run": message.run, "attempt": message.attempt}
    stages = {**message.fields.get("stages", {}), stage: failed}
    known = {**message.fields, "stages": stages, "status": "failed", "reason": reason, "completed_at": ended}
    return _next_run(known, stage)


def _input_is_there(document: Mapping[str, Any], stage: str, exists: Callable[[str], bool]) -> bool:
    original = document.get("original_path")
    if not original or not exists(original):
        return False
    position = [each.name for each in line.LINE].index(stage)
    if position == 0:
        return True
    before = (document.get("stages") or {}).get(line.LINE[position - 1].name) or {}
    return before.get("state") == "done" and bool(before.get("path")) and exists(before["path"])


def _next_run(document: Mapping[str, Any], stage: str) -> Message:
    """The message as the stage before left it: what this one and those after it found is to be found again."""
    names = [each.name for each in line.LINE]
    position = names.index(stage)
    entries = dict(document.get("stages") or {})
    again = {name: entries.pop(name) for name in names[position:] if name in entries}
    found = {field for entry in again.values() for field in entry.get("fields") or ()}
    found -= {field for entry in entries.values() for field in entry.get("fields") or ()}
    fields = {name: value for name, value in document.items() if name not in found and name not in OF_THE_END}
    until = fields.pop("until", None)
    if document.get("status") != WAITING and until in names[position:]:
        fields["until"] = until  # it failed before it came there
    run, at = int(document.get("run") or 1) + 1, now()
    if position == 0:
        fields.pop("path", None)
    else:
        fields["path"] = (entries.get(names[position - 1]) or {}).get("path") or document["original_path"]
    history = [*(document.get("history") or ()), *({"stage": name, **entry} for name, entry in again.items())]
    runs = [*_ended_runs(document), {"run": run, "from": stage, "created_at": at}]
    told = {
        "run": run,
        "attempt": 1,
        "runs": runs[-MOST_HISTORY:],
        "history": history[-MOST_HISTORY:],
        "stages": entries,
    }
    try:
        return Message.decode(Message.of(fields | told).raw)
    except StagelineError as error:
        raise CannotRun(
            f"what results/ says of this picture is no message: {error}; send its original again"
        ) from error


def _ended_runs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs so far, with how the last of them ended."""
    begun = {"run": int(document.get("run") or 1), "from": line.LINE[0].name, "created_at": document.get("uploaded_at")}
    *before, last = document.get("runs") or [begun]
    ended = {"status": document.get("status"), "reason": document.get("reason")}
    ended["finished_at"] = document.get("completed_at") or document.get("updated_at")
    return [*before, {**last, **ended}]

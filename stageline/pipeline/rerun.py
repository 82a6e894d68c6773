"""Makes the message of a picture's next run, from a stage on, of its results document."""

from collections.abc import Callable, Mapping
from typing import Any

from stageline.core.errors import StagelineError, UnknownFolder
from stageline.core.timestamps import now
from stageline.pipeline import line
from stageline.pipeline.message import MAX_HISTORY, Message
from stageline.pipeline.results import WAITING

END_FIELDS = ("status", "updated_at", "completed_at", "failed_stage", "reason")  # that only results have


class CannotRun(StagelineError):
    """The picture cannot be sent again from this stage on, as the input of the stage is missing."""


def first_run(uploaded_at: str) -> dict[str, Any]:
    """Return the fields of a picture's first run: the time and the stage of its beginning."""
    return {"run": 1, "runs": [{"run": 1, "from": line.LINE[0].name, "created_at": uploaded_at}]}


def prepare(
    document: Mapping[str, Any], stage: str | None, exists: Callable[[str], bool]
) -> tuple[Message, line.Stage]:
    """Make the message of a picture's next run, and return it with the stage where it begins.

    Args:
        document: the picture's results document.
        stage: the stage to begin with; None for the first stage, or, for a picture that waits, for its next stage.
        exists: whether the bucket has an object with this key.

    Raises:
        CannotRun: the stage's input is missing (the text names the first stage that can run), or the document is not a
            results document of the line.
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


def after_failure(message: Message, stage: str, dead_letter: Mapping[str, Any]) -> Message:
    """Return the message of the next run of a failed picture, from the stage where it failed.

    ``dead_letter`` is the content that `stageline.broker.dead_letters` writes.
    """
    reason, ended, entry = (dead_letter.get(name) for name in ("reason", "time", "entry"))
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
    """Return the message as the stage before left it, without the findings of this stage and those after it."""
    names = [each.name for each in line.LINE]
    position = names.index(stage)
    entries = dict(document.get("stages") or {})
    again = {name: entries.pop(name) for name in names[position:] if name in entries}
    found = {field for entry in again.values() for field in entry.get("fields") or ()}
    found -= {field for entry in entries.values() for field in entry.get("fields") or ()}
    fields = {name: value for name, value in document.items() if name not in found and name not in END_FIELDS}
    until = fields.pop("until", None)
    if document.get("status") != WAITING and until in names[position:]:
        fields["until"] = until  # the picture failed before that stage
    run = int(document.get("run") or 1) + 1
    if position == 0:
        fields.pop("path", None)
    else:
        fields["path"] = (entries.get(names[position - 1]) or {}).get("path") or document["original_path"]
    history = [*(document.get("history") or ()), *({"stage": name, **entry} for name, entry in again.items())]
    runs = [*_ended_runs(document), {"run": run, "from": stage, "created_at": now()}]
    fields |= {"run": run, "attempt": 1, "stages": entries}
    fields |= {"runs": runs[-MAX_HISTORY:], "history": history[-MAX_HISTORY:]}
    try:
        return Message.decode(Message.of(fields).raw)
    except UnknownFolder as error:
        raise CannotRun(
            f"a newer version of the line wrote an object of this picture in {error.folder}/, which this one does not "
            "know: ask again when the upgrade is over"
        ) from error
    except StagelineError as error:
        fault = f"what results/ says of this picture is no message: {error}"
        raise CannotRun(f"{fault}; send its original again") from error


def _ended_runs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the runs so far, with the end of the last one."""
    begun = {"run": int(document.get("run") or 1), "from": line.LINE[0].name, "created_at": document.get("uploaded_at")}
    *before, last = document.get("runs") or [begun]
    ended = {"status": document.get("status"), "reason": document.get("reason")}
    ended["finished_at"] = document.get("completed_at") or document.get("updated_at")
    return [*before, {**last, **ended}]

"""When a picture came: producers of any kind say so by their own clocks, which may be wrong."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from stageline.core import clock
from stageline.core.timestamps import iso, moment
from stageline.pipeline.message import Message

CLOSE = timedelta(seconds=1)  # as two processes of ours never differ: such times stay as they are


def bounded(message: Message) -> Message:
    """A message that was just taken off a list, without times to come: none was uploaded, or sent, after now.

    A time that lies in the past stays: the message may have waited. The bytes, which the queue's steps compare, stay.
    """
    now = clock.now()
    fields: dict[str, Any] = {}
    if _is_to_come(message.fields.get("uploaded_at"), now):
        fields["uploaded_at"] = iso(now)
    runs = message.fields.get("runs") or ()
    if any(_is_to_come(run.get("created_at"), now) for run in runs):
        fields["runs"] = [_bounded_run(run, now) for run in runs]
    return Message({**message.fields, **fields}, message.raw) if fields else message


def _bounded_run(run: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    return {**run, "created_at": iso(now)} if _is_to_come(run.get("created_at"), now) else run


def _is_to_come(told: object, now: datetime) -> bool:
    said = moment(told)
    return said is not None and said > now + CLOSE

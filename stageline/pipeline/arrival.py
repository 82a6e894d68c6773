"""Corrects the times in a message: producers write them by their own clocks, which may be wrong."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from stageline.core import clock
from stageline.core.timestamps import iso, moment
from stageline.pipeline.message import Message

CLOSE = timedelta(seconds=1)  # two processes of the line differ by less; such times are kept


def without_future_times(message: Message) -> Message:
    """Return a message that was just taken, with the times that lie in the future replaced by the present time.

    A time in the past is kept, as the message may have waited. The raw bytes, which the transitions compare, stay.
    """
    now = clock.now()
    fields = _bounded(message.fields, "uploaded_at", now)
    if runs := message.fields.get("runs"):
        fields = {**fields, "runs": [_bounded(run, "created_at", now) for run in runs]}
    return message if fields == message.fields else Message(fields, message.raw)


def _bounded(fields: Mapping[str, Any], name: str, now: datetime) -> Mapping[str, Any]:
    found = moment(fields.get(name))
    return {**fields, name: iso(now)} if found is not None and found > now + CLOSE else fields

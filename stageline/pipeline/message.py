"""The message: the JSON that travels on the lists. Ids, object keys, sizes, findings so far; never pixels."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stageline.core.errors import BadMessage, NewerMessage
from stageline.pipeline.schema import FOLDERS, ID, KEY, check

__all__ = ["FOLDERS", "ID", "KEY", "PROBE", "Message", "id_of"]

PROBE = "probe-"  # begins the id of a picture that is nobody's: somebody looks for others with it
VERSION = 1
MAX_BYTES = 1024 * 1024
MOST_HISTORY = 100  # entries that a message carries along of what was tried before; the oldest are let go
MAX_DEPTH = 32  # of objects and lists in each other; Python's own limit would be met only while results are written


@dataclass(frozen=True)
class Message:
    """One message: its fields, and the very bytes that were on the list (the queue's scripts compare them)."""

    fields: Mapping[str, Any]
    raw: bytes

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Message":
        """Make a message of these fields.

        Raises:
            BadMessage: no worker would take it: it is too large, or holds what JSON cannot.
        """
        try:
            raw = _encode(fields)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadMessage(f"this cannot be written as a message: {error}") from error
        if len(raw) > MAX_BYTES:
            raise BadMessage(f"the message would have {len(raw)} bytes; at most {MAX_BYTES} are taken")
        return cls(fields, raw)

    @classmethod
    def salvage(cls, raw: bytes) -> "Message | None":
        """Return a message of nothing but the picture's id and run, where at least those can be read of a bad one."""
        try:
            found = json.loads(raw)
            image_id, run = found["image_id"], found.get("run")
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return None
        if not (isinstance(image_id, str) and ID.fullmatch(image_id)):
            return None
        whole = isinstance(run, int) and not isinstance(run, bool) and 0 < run < 2**31
        return cls({"image_id": image_id, **({"run": run} if whole else {})}, raw)

    @classmethod
    def decode(cls, raw: bytes) -> "Message":
        """Read a message off a list.

        Raises:
            BadMessage: not JSON, not an object, or a field that is not what the contract says.
            NewerMessage: well-formed, but of a version that this code does not know.
        """
        if len(raw) > MAX_BYTES:
            raise BadMessage(f"the message has {len(raw)} bytes; at most {MAX_BYTES} are taken")
        try:
            fields = json.loads(raw.decode(), parse_constant=_no_number, parse_float=_finite)
        except (ValueError, RecursionError) as error:
            raise BadMessage(f"the message is not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise BadMessage(f"the message is a JSON {type(fields).__name__}, not an object")
        _check_version(fields.get("v"))
        check(fields)
        _check_that_it_can_travel_on(fields, raw)
        return cls(fields, raw)

    @property
    def image_id(self) -> str:
        """The picture's id."""
        return str(self.fields["image_id"])

    @property
    def original_path(self) -> str:
        """The key of the upload."""
        return str(self.fields["original_path"])

    @property
    def path(self) -> str:
        """The key that the stage before wrote; the original where none did."""
        return str(self.fields.get("path") or self.original_path)

    @property
    def attempt(self) -> int:
        """Which try this is at the present stage, from 1."""
        return int(self.fields.get("attempt") or 1)

    @property
    def run(self) -> int:
        """Which time the picture goes down the line, from 1."""
        return int(self.fields.get("run") or 1)

    @property
    def starts_at(self) -> str | None:
        """The stage where this run began; None where the message does not say."""
        runs = self.fields.get("runs")
        return runs[-1].get("from") if runs else None

    @property
    def is_probe(self) -> bool:
        """Whether it is a picture that somebody only looks for others with; nobody is told of it."""
        return self.fields.get("probe") is True

    @property
    def pixels(self) -> int | None:
        """Width × height of the original, where a stage has said so."""
        width, height = self.fields.get("origin_w"), self.fields.get("origin_h")
        return None if width is None or height is None else int(width) * int(height)

    def successor(self, stage: str, entry: Mapping[str, Any], fields: Mapping[str, Any]) -> "Message":
        """Return the message for the next stage: these fields added, and what this stage did noted."""
        following = {**self.fields, **fields, "attempt": 1}
        did = {**entry, "path": following.get("path") or self.original_path, "fields": list(fields)}
        return Message.of(following | {"stages": {**self.fields.get("stages", {}), stage: did}})

    def retried(self, stage: str, entry: Mapping[str, Any]) -> "Message":
        """Return the message with its attempt counted up, and what came of the one before noted in its history.

        Of one that is as large as it may be the history is let go; and should it be too large even so, whoever takes
        it next buries it for that.
        """
        history = [*self.fields.get("history", ()), {"stage": stage, **entry}][-MOST_HISTORY:]
        again = {**self.fields, "attempt": self.attempt + 1}
        try:
            return Message.of(again | {"history": history})
        except BadMessage:
            again.pop("history", None)
            return Message(again, _encode(again))


def id_of(key: str) -> str:
    """The id in an object's key, ``<folder>/<id>.<ending>``."""
    return key.rpartition("/")[2].partition(".")[0]


def _encode(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number in JSON")


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise ValueError(f"{literal[:20]} is too large")
    return number


def _check_version(version: object) -> None:
    if version is None:
        return
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadMessage("v must be a whole number from 1")
    if version > VERSION:
        shown = version if version < 2**63 else "2⁶³ or more"
        raise NewerMessage(f"the message is of version {shown}; this worker knows {VERSION}")


def _check_that_it_can_travel_on(fields: Mapping[str, Any], raw: bytes) -> None:
    """Refuse what could be read, and not be written again for the next stage."""
    if b"\\ud" in raw.lower():  # an escape that may be half a character
        try:
            json.dumps(fields, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            raise BadMessage("the message has half a character (an unpaired surrogate) in it") from None
    level: list[Any] = [fields]
    for _ in range(MAX_DEPTH):
        inner = (value.values() if isinstance(value, dict) else value for value in level)
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise BadMessage(f"the message has more than {MAX_DEPTH} levels of objects and lists in each other")

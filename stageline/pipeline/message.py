"""The message: JSON on the queues, with ids, object keys, sizes and findings, but never pixels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from stageline.core.errors import BadMessage, NewerMessage
from stageline.pipeline.schema import FOLDERS, ID, KEY, check

__all__ = ["FOLDERS", "ID", "KEY", "PROBE", "Message", "id_of"]

PROBE = "probe-"  # prefix of the id of a probe: a picture that is only used to search for others
VERSION = 1
MAX_BYTES = 1024 * 1024
MAX_HISTORY = 100  # entries of earlier attempts and runs in a message; the oldest are removed
MAX_DEPTH = 32  # of nested objects and lists; Python's own limit would be exceeded only while results are written
JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder()  # rejects NaN, infinite numbers and unpaired surrogates


@dataclass(frozen=True)
class Message:
    """One message: its fields, and the exact bytes that were on the queue, which the scripts compare."""

    fields: Mapping[str, Any]
    raw: bytes

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Message":
        """Make a message of these fields.

        Raises:
            BadMessage: no worker would take the message: it is too large, or cannot be written as JSON.
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
        """Return a message with only the id and the run of a bad message, or None when these cannot be read."""
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
        """Decode a message of a queue.

        Raises:
            BadMessage: not JSON, not an object, or a field that the contract does not allow.
            NewerMessage: a well-formed message of a version that this code does not know.
        """
        if len(raw) > MAX_BYTES:
            raise BadMessage(f"the message has {len(raw)} bytes; at most {MAX_BYTES} are taken")
        try:
            fields = JSON.decode(raw)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            half = ", or has half a character (an unpaired surrogate) in it" if b"\\ud" in raw.lower() else ""
            raise BadMessage(f"the message is not JSON{half}: {error}") from None
        if not isinstance(fields, dict):
            raise BadMessage(f"the message is a JSON {type(fields).__name__}, not an object")
        _check_version(fields.get("v"))
        check(fields)
        _check_depth(fields)
        return cls(fields, raw)

    @property
    def image_id(self) -> str:
        """The picture's id."""
        return str(self.fields["image_id"])

    @property
    def original_path(self) -> str:
        """The key of the original."""
        return str(self.fields["original_path"])

    @property
    def path(self) -> str:
        """The key that the stage before wrote, or the key of the original."""
        return str(self.fields.get("path") or self.original_path)

    @property
    def attempt(self) -> int:
        """The number of this attempt at the present stage, from 1."""
        return int(self.fields.get("attempt") or 1)

    @property
    def run(self) -> int:
        """The number of the picture's run down the line, from 1."""
        return int(self.fields.get("run") or 1)

    @property
    def starts_at(self) -> str | None:
        """The stage at which this run began; None when the message has no runs."""
        runs = self.fields.get("runs")
        return runs[-1].get("from") if runs else None

    @property
    def is_probe(self) -> bool:
        """Whether the picture is only used to search for others; it gets no events and no catalogue entry."""
        return self.fields.get("probe") is True

    @property
    def pixels(self) -> int | None:
        """Width × height of the original; None when the message has no size."""
        width, height = self.fields.get("origin_w"), self.fields.get("origin_h")
        return None if width is None or height is None else int(width) * int(height)

    def successor(self, stage: str, entry: Mapping[str, Any], fields: Mapping[str, Any]) -> "Message":
        """Return the message for the next stage, with these fields and this stage's entry added."""
        following = {**self.fields, **fields, "attempt": 1}
        done = {**entry, "path": following.get("path") or self.original_path, "fields": list(fields)}
        return Message.of(following | {"stages": {**self.fields.get("stages", {}), stage: done}})

    def retried(self, stage: str, entry: Mapping[str, Any]) -> "Message":
        """Return the message of the next attempt, with the entry of this attempt in its history.

        A message that would be too large loses its history. A message that is too large even so is dead-lettered by the
        next worker.
        """
        history = [*self.fields.get("history", ()), {"stage": stage, **entry}][-MAX_HISTORY:]
        again = {**self.fields, "attempt": self.attempt + 1}
        try:
            return Message.of(again | {"history": history})
        except BadMessage:
            again.pop("history", None)
            return Message(again, _encode(again))


def id_of(key: str) -> str:
    """Return the id in an object's key, ``<folder>/<id>.<ending>``."""
    return key.rpartition("/")[2].partition(".")[0]


def _encode(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _check_version(version: object) -> None:
    if version is None:
        return
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadMessage("v must be a whole number from 1")
    if version > VERSION:
        shown = version if version < 2**63 else "2⁶³ or more"
        raise NewerMessage(f"the message is of version {shown}; this worker knows {VERSION}")


def _check_depth(fields: Mapping[str, Any]) -> None:
    """Refuse a message that can be read, but is nested too deeply to be written for the next stage."""
    level: list[Any] = [fields]
    for _ in range(MAX_DEPTH):
        inner = (value.values() if isinstance(value, dict) else value for value in level)
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise BadMessage(f"the message has more than {MAX_DEPTH} levels of objects and lists in each other")

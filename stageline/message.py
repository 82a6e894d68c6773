"""The message: the JSON that travels on the lists. Ids, object keys, sizes, findings so far; never pixels."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stageline.errors import BadMessage, NewerMessage

VERSION = 1
MAX_BYTES = 1024 * 1024
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
FOLDERS = ("original", "resized", "grayscale", "detections", "findings", "tagged", "blurred", "results")
KEY = re.compile(rf"(?:{'|'.join(FOLDERS)})/[A-Za-z0-9_-]{{1,64}}\.[a-z0-9]{{1,8}}")


@dataclass(frozen=True)
class Message:
    """One message: its fields, and the very bytes that were on the list (the queue's scripts compare them)."""

    fields: Mapping[str, Any]
    raw: bytes

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Message":
        """Make a message of these fields."""
        return cls(fields, json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode())

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
            fields = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise BadMessage(f"the message is not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise BadMessage(f"the message is a JSON {type(fields).__name__}, not an object")
        version = fields.get("v", 1)
        if isinstance(version, int) and version > VERSION:
            raise NewerMessage(f"the message is of version {version}; this worker knows {VERSION}")
        _check(fields)
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
        return int(self.fields.get("attempt", 1))

    @property
    def pixels(self) -> int | None:
        """Width × height of the original, where a stage has said so."""
        width, height = self.fields.get("origin_w"), self.fields.get("origin_h")
        return None if width is None or height is None else int(width) * int(height)

    def successor(self, stage: str, entry: Mapping[str, Any], fields: Mapping[str, Any]) -> "Message":
        """Return the message for the next stage: these fields added, and what this stage did noted."""
        stages = {**self.fields.get("stages", {}), stage: dict(entry)}
        return Message.of({**self.fields, **fields, "attempt": 1, "stages": stages})

    def retried(self) -> "Message":
        """Return the message with its attempt counted up."""
        return Message.of({**self.fields, "attempt": self.attempt + 1})


def _check(fields: Mapping[str, Any]) -> None:
    image_id = fields.get("image_id")
    if not (isinstance(image_id, str) and ID.fullmatch(image_id)):
        raise BadMessage(f"image_id must match {ID.pattern}")
    for name in ("original_path", "path"):
        key = fields.get(name)
        if key is None and name == "path":
            continue
        if not (isinstance(key, str) and KEY.fullmatch(key)):
            raise BadMessage(f"{name} must be a key like original/<id>.jpg, in one of {', '.join(FOLDERS)}")
    for name in ("attempt", "origin_w", "origin_h"):
        number = fields.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**31):
            raise BadMessage(f"{name} must be a whole number from 1")
    if not isinstance(fields.get("stages", {}), dict):
        raise BadMessage("stages must be an object")
    for name in ("detections", "faces"):
        _check_findings(name, fields.get(name))


def _check_findings(name: str, findings: object) -> None:
    if findings is None:
        return
    if not isinstance(findings, list):
        raise BadMessage(f"{name} must be a list")
    for finding in findings:
        box = finding.get("box") if isinstance(finding, dict) else None
        if not (isinstance(box, list) and len(box) == 4 and all(_is_coordinate(edge) for edge in box)):
            raise BadMessage(f"each of {name} must be an object with a box [x1, y1, x2, y2] of numbers")


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9  # NaN fails too

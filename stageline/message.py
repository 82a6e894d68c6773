"""The message: the JSON that travels on the lists. Ids, object keys, sizes, findings so far; never pixels."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stageline.errors import BadMessage, NewerMessage

VERSION = 1
MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32  # of objects and lists in each other; Python's own limit would be met only while results are written
FARTHEST = 1e9  # of any number in a finding: a box of a hostile one must not overflow what draws it
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
        """Make a message of these fields.

        Raises:
            BadMessage: no worker would take it: it is too large, or holds what JSON cannot.
        """
        try:
            raw = json.dumps(fields, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise BadMessage(f"this cannot be written as a message: {error}") from error
        if len(raw) > MAX_BYTES:
            raise BadMessage(f"the message would have {len(raw)} bytes; at most {MAX_BYTES} are taken")
        return cls(fields, raw)

    @classmethod
    def salvage(cls, raw: bytes) -> "Message | None":
        """Return a message of nothing but the picture's id, where at least that can be read of a bad one."""
        try:
            image_id = json.loads(raw)["image_id"]
        except (ValueError, RecursionError, LookupError, TypeError):
            return None
        known = isinstance(image_id, str) and ID.fullmatch(image_id)
        return cls({"image_id": image_id}, raw) if known else None

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
        _check(fields)
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
    for name in ("attempt", "run", "origin_w", "origin_h"):
        number = fields.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**31):
            raise BadMessage(f"{name} must be a whole number from 1")
    if not isinstance(fields.get("stages", {}), dict):
        raise BadMessage("stages must be an object")
    missing = fields.get("missing_models")
    if missing is not None and not (isinstance(missing, list) and all(isinstance(name, str) for name in missing)):
        raise BadMessage("missing_models must be a list of names")
    _check_findings("detections", fields.get("detections"), ("label",))
    _check_findings("faces", fields.get("faces"))
    for name in ("categories", "imagenet"):
        _check_categories(name, fields.get(name))


def _check_categories(name: str, found: object) -> None:
    if found is not None and not isinstance(found, list):
        raise BadMessage(f"{name} must be a list")
    for item in found or ():
        if not (isinstance(item, dict) and isinstance(item.get("category"), str)):
            raise BadMessage(f"each of {name} must be an object with a category, a text")
        if not _is_number(item.get("confidence")):
            raise BadMessage(f"each of {name} must have a confidence, a number")
        if item.get("box") is not None and not _are_numbers(item["box"], 4):
            raise BadMessage(f"the box of each of {name} must be [x1, y1, x2, y2] of numbers; null: the whole picture")


def _check_findings(name: str, findings: object, texts: tuple[str, ...] = ()) -> None:
    if findings is None:
        return
    if not isinstance(findings, list):
        raise BadMessage(f"{name} must be a list")
    for finding in findings:
        if not (isinstance(finding, dict) and _are_numbers(finding.get("box"), 4)):
            raise BadMessage(f"each of {name} must be an object with a box [x1, y1, x2, y2] of numbers")
        if not _is_number(finding.get("score")):
            raise BadMessage(f"each of {name} must have a score, a number")
        if not all(isinstance(finding.get(text), str) for text in texts):
            raise BadMessage(f"each of {name} must have a {' and a '.join(texts)}, a text")
        landmarks = finding.get("landmarks")
        if landmarks is not None and not (
            isinstance(landmarks, list) and all(_are_numbers(point, 2) for point in landmarks)
        ):
            raise BadMessage(f"the landmarks of {name} must be a list of points [x, y]")
        if name == "faces" and not _is_reference(finding.get("embedding")):
            raise BadMessage('the embedding of each of faces must be {"key": "findings/<id>.json", "index": 0}')


def _is_reference(reference: object) -> bool:
    """Whether it is none, or says in which object, and as which of several, an embedding is."""
    if reference is None:
        return True
    key, index = (reference.get("key"), reference.get("index")) if isinstance(reference, dict) else (None, None)
    known = isinstance(key, str) and KEY.fullmatch(key) is not None and key.startswith("findings/")
    return known and isinstance(index, int) and not isinstance(index, bool) and 0 <= index < FARTHEST


def _are_numbers(values: object, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(_is_number(value) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FARTHEST

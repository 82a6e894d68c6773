"""The contract on the wire: what each field of a message must be. Fields that it does not name may be anything."""

import re
from collections.abc import Mapping
from typing import Any

from stageline.core.errors import BadMessage

FARTHEST = 1e9  # of any number in a finding: a box of a hostile one must not overflow what draws it
MOST_STAGES = 64
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
TEXTS = ("filename", "kind", "sha256", "uploaded_at", "batch_id", "until")
FOLDERS = ("original", "resized", "grayscale", "detections", "findings", "tagged", "blurred", "results")
KEY = re.compile(rf"(?:{'|'.join(FOLDERS)})/[A-Za-z0-9_-]{{1,64}}\.[a-z0-9]{{1,8}}")


def check(fields: Mapping[str, Any]) -> None:
    """Hold a message's fields against the contract.

    Raises:
        BadMessage: one of them is not what the contract says; the text names it.
    """
    image_id = fields.get("image_id")
    if not (isinstance(image_id, str) and ID.fullmatch(image_id)):
        raise BadMessage(f"image_id must match {ID.pattern}")
    for name in ("original_path", "path"):
        key = fields.get(name)
        if key is None and name == "path":
            continue
        if not (isinstance(key, str) and KEY.fullmatch(key)):
            raise BadMessage(f"{name} must be a key like original/<id>.jpg, in one of {', '.join(FOLDERS)}")
    _check_numbers_and_texts(fields)
    _check_history(fields)
    missing = fields.get("missing_models")
    if missing is not None and not (isinstance(missing, list) and all(isinstance(name, str) for name in missing)):
        raise BadMessage("missing_models must be a list of names")
    _check_findings("detections", fields.get("detections"), ("label",))
    _check_findings("faces", fields.get("faces"))
    for name in ("categories", "candidates", "imagenet"):
        _check_categories(name, fields.get(name))


def _check_numbers_and_texts(fields: Mapping[str, Any]) -> None:
    for name in ("attempt", "run", "origin_w", "origin_h"):
        number = fields.get(name)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**31):
            raise BadMessage(f"{name} must be a whole number from 1")
    orientation = fields.get("orientation")
    if orientation is not None and (isinstance(orientation, bool) or orientation not in range(1, 9)):
        raise BadMessage("orientation must be a whole number from 1 to 8")
    for name in TEXTS:
        if not isinstance(fields.get(name), str | None):
            raise BadMessage(f"{name} must be a text")


def _check_history(fields: Mapping[str, Any]) -> None:
    stages = fields.get("stages", {})
    if not (isinstance(stages, dict) and len(stages) <= MOST_STAGES and all(map(_is_entry, stages.values()))):
        raise BadMessage(f"stages must be an object of at most {MOST_STAGES} objects, whose path is a key")
    for name in ("history", "runs"):
        entries = fields.get(name, [])
        if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
            raise BadMessage(f"{name} must be a list of objects")


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict):
        return False
    path, fields = entry.get("path"), entry.get("fields", [])
    is_key = path is None or (isinstance(path, str) and KEY.fullmatch(path) is not None)
    return is_key and isinstance(fields, list) and all(isinstance(field, str) for field in fields)


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
        if name == "candidates" and not all(isinstance(item.get(text), str | None) for text in ("detected", "reason")):
            raise BadMessage("detected and reason of each of candidates must be texts")


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

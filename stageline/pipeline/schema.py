"""The contract of messages: the type of each field. Fields that the contract does not name may have any value."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from stageline.core.errors import BadMessage, UnknownFolder
from stageline.pipeline.line import FOLDERS

__all__ = ["FOLDERS", "ID", "KEY", "check"]

MAX_NUMBER = 1e9  # of any number in a finding, so that no box overflows the code that draws it
MAX_STAGES = 64
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
OBJECT = r"[A-Za-z0-9_-]{1,64}\.[a-z0-9]{1,8}"
KEY = re.compile(rf"(?:{'|'.join(FOLDERS)})/{OBJECT}")
KEY_ANYWHERE = re.compile(rf"([a-z][a-z0-9_-]{{0,31}})/{OBJECT}")  # also in a folder of a newer version

ID_ALONE, KEY_ALONE = rf"^{ID.pattern}\Z", rf"^{KEY_ANYWHERE.pattern}\Z"
FINDINGS_KEY_ALONE = rf"^(?=findings/){KEY.pattern}\Z"
Key = Annotated[str, Meta(pattern=KEY_ALONE)]
Whole = Annotated[int, Meta(ge=1, lt=2**31)]
Number = Annotated[float, Meta(gt=-MAX_NUMBER, lt=MAX_NUMBER)]
Point = tuple[Number, Number]
Box = tuple[Number, Number, Number, Number]


class _Finding(Struct):
    box: Box
    score: Number
    landmarks: list[Point] | None = None


class _Detection(_Finding, kw_only=True):
    label: str


class _Embedding(Struct):
    key: Annotated[str, Meta(pattern=FINDINGS_KEY_ALONE)]
    index: Annotated[int, Meta(ge=0, lt=int(MAX_NUMBER))]


class _Face(_Finding):
    embedding: _Embedding | None = None


class _Category(Struct):
    category: str
    confidence: Number
    box: Box | None = None  # None: the category of the whole picture


class _Candidate(_Category):
    detected: str | None = None
    reason: str | None = None


class _Entry(Struct):
    path: Key | None = None
    fields: list[str] = []


class _Contract(Struct):
    image_id: Annotated[str, Meta(pattern=ID_ALONE)]
    original_path: Key
    path: Key | None = None
    attempt: Whole | None = None
    run: Whole | None = None
    origin_w: Whole | None = None
    origin_h: Whole | None = None
    orientation: Annotated[float, Meta(ge=1, le=8, multiple_of=1)] | None = None
    filename: str | None = None
    kind: str | None = None
    sha256: str | None = None
    uploaded_at: str | None = None
    batch_id: str | None = None
    until: str | None = None
    stages: Annotated[dict[str, _Entry], Meta(max_length=MAX_STAGES)] = {}
    history: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    missing_models: list[str] | None = None
    detections: list[_Detection] | None = None
    faces: list[_Face] | None = None
    categories: list[_Category] | None = None
    candidates: list[_Candidate] | None = None
    imagenet: list[_Category] | None = None


WORDS = {"array": "a list", "object": "an object", "str": "a text", "int": "a whole number", "float": "a number"}
NEEDS_KEY = f"must be a key like original/<id>.jpg, in one of {', '.join(FOLDERS)}"
PATTERNS = {
    repr(ID_ALONE): f"must match {ID.pattern}",
    repr(KEY_ALONE): NEEDS_KEY,
    repr(FINDINGS_KEY_ALONE): "must be a key like findings/<id>.json",
}
EXPECTED = re.compile(r"Expected `(\w+)[^`]*`(?:, got .*| (.*))?$")


def check(fields: Mapping[str, Any]) -> None:
    """Check a message's fields against the contract.

    Raises:
        BadMessage: a field breaks the contract; the text names it.
        UnknownFolder: the only fault is a key in a folder that this version does not know.
    """
    try:
        read = msgspec.convert(fields, _Contract)
    except msgspec.ValidationError as error:
        raise BadMessage(_sentence(str(error))) from None
    _check_folders(read)


def _check_folders(read: _Contract) -> None:
    """Refuse unknown folders. This check is the last, as any other fault is a fault in every version of the line."""
    written = {f"the path of {name} in stages": entry.path for name, entry in read.stages.items()}
    for name, key in {"original_path": read.original_path, "path": read.path, **written}.items():
        if key is not None and not KEY.fullmatch(key):
            folder = key.partition("/")[0]
            raise UnknownFolder(f"{name} {NEEDS_KEY}; this version knows no {folder}", folder)


def _sentence(error: str) -> str:
    """Turn an error of msgspec into a sentence that names the field and its type."""
    what, _, place = error.partition(" - at `$")
    name = place.strip(".`") or "the message"
    pattern = what.partition(" matching regex ")[2]
    expected = EXPECTED.match(what)
    if pattern:
        return f"{name} {PATTERNS.get(pattern, what)}"
    if expected:
        return f"{name} must be {WORDS.get(expected[1], expected[1])} {expected[2] or ''}".rstrip()
    if what.startswith("Object missing"):
        return f"{name} must have the {what.removeprefix('Object missing required ').replace('`', '')}"
    return f"{name} must be a number below {MAX_NUMBER:.0f}"

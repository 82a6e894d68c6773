"""A picture's name: as it is read from bytes, as it is given back, and the one form by which it is looked up. Pure."""

import hashlib
import re
import unicodedata
from typing import Any, NamedTuple

MAX_BYTES = 4096  # of a name that is given back; no file system allows more
MAX_KEY_BYTES = 255
MAX_DECOMPOSED = 4 * MAX_BYTES  # characters of a name as it is typed: putting marks in order takes their square
MAX_ENDING = 8  # characters
UNNAMED = "unnamed"
FOLDERS = re.compile(r"[/\\]")
REMOVED = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of controls, half characters, breaks of lines and paragraphs
# What turns the direction of the text after it: embeddings, overrides, isolates, and their deprecated kin.
TURNS = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x2070))))


class Name(NamedTuple):
    """A name, and whether its encoding was a guess."""

    text: str
    guessed: bool = False


def decoded(raw: bytes) -> Name:
    """Read a name that does not say its encoding: UTF-8 where it is that, else Latin-1, which is said to be a guess."""
    try:
        return Name(raw.decode())
    except UnicodeDecodeError:
        return Name(raw.decode("latin-1"), guessed=True)


def safe_filename(given: str | None) -> str:
    """Return the name that is given back: as it came, but for what is dangerous to show; it never becomes a key.

    Folders, control characters, line breaks and what turns the direction of text are removed. What is longer than
    MAX_BYTES is cut, and keeps its ending. A name in which nothing can be seen becomes ``unnamed``.
    """
    return _bounded(_harmless(given or "")) or UNNAMED


def lookup_key(name: str) -> str:
    """Return the normal form by which a name is stored and looked up, of at most MAX_KEY_BYTES bytes.

    It is the NFC of the name that is given back, without blanks around it. Of what is longer it is the beginning and a
    digest of all of it. A name in which nothing can be seen is looked up as it is, and not as ``unnamed``.
    """
    seen = (_harmless(name) or name.encode(errors="replace").decode())[:MAX_DECOMPOSED]
    normal = _bounded(unicodedata.normalize("NFC", seen).strip() or seen)
    if len(normal.encode()) <= MAX_KEY_BYTES:
        return normal
    digest = hashlib.sha256(normal.encode()).hexdigest()
    return f"{_cut(normal, MAX_KEY_BYTES - len(digest) - 1)}~{digest}"


def is_seen(name: str) -> bool:
    """Whether anything of a name is seen: else it is no picture's."""
    return bool(_harmless(name))


def name_fields(filename: str | None, guessed: object) -> dict[str, Any]:
    """The fields by which an answer tells a name; that it is a guess is said only where it is one."""
    return {"filename": filename, **({"filename_guessed": True} if guessed is True else {})}


def _harmless(given: str) -> str:
    """The name without what is removed; empty where nothing else can be seen: blanks, dots and joiners alone."""
    last = FOLDERS.split(given)[-1]
    name = "".join(c for c in last if c not in TURNS and unicodedata.category(c) not in REMOVED)
    return name if any(c != "." and not c.isspace() and unicodedata.category(c) != "Cf" for c in name) else ""


def _bounded(name: str) -> str:
    """At most MAX_BYTES of it, with its ending: people look for that."""
    if len(name.encode()) <= MAX_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) <= MAX_ENDING:
        return f"{_cut(stem, MAX_BYTES - len(ending.encode()) - 1)}.{ending}"
    return _cut(name, MAX_BYTES)


def _cut(text: str, most: int) -> str:
    """As much of the beginning as fits into so many bytes."""
    return text.encode()[:most].decode(errors="ignore")

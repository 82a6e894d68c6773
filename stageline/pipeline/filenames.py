"""Pure functions of a picture's name: decoding, the safe form that is returned, and the form for look-ups."""

import hashlib
import re
import unicodedata
from typing import Any, NamedTuple

MAX_BYTES = 4096  # of a name that is returned; no file system allows more
MAX_KEY_BYTES = 255
MAX_DECOMPOSED = 4 * MAX_BYTES  # characters of a name before its normalization, as sorting marks takes quadratic time
MAX_ENDING = 8  # characters
UNNAMED = "unnamed"
FOLDERS = re.compile(r"[/\\]")
REMOVED = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories of controls, half characters, breaks of lines and paragraphs
# Characters that change the direction of text: embeddings, overrides, isolates, and the deprecated ones of that kind.
TURNS = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x2070))))


class Name(NamedTuple):
    """A name, and whether its encoding was a guess."""

    text: str
    guessed: bool = False


def decoded(raw: bytes) -> Name:
    """Decode a name of unknown encoding: as UTF-8 when that is valid, else as Latin-1, which is marked as a guess."""
    try:
        return Name(raw.decode())
    except UnicodeDecodeError:
        return Name(raw.decode("latin-1"), guessed=True)


def safe_filename(given: str | None) -> str:
    """Return the name as given, without the characters that are dangerous to show; it is never used as a key.

    Folders, control characters, line breaks and characters that change the direction of text are removed. A name longer
    than MAX_BYTES is cut, and keeps its ending. A name without visible characters becomes ``unnamed``.
    """
    return _bounded(_harmless(given or "")) or UNNAMED


def lookup_key(name: str) -> str:
    """Return the normal form by which a name is stored and looked up, of at most MAX_KEY_BYTES bytes.

    The form is the NFC of the safe name, without blanks around it. A longer form is replaced by its beginning and a
    digest of it. A name without visible characters is looked up unchanged, not as ``unnamed``.
    """
    seen = (_harmless(name) or name.encode(errors="replace").decode())[:MAX_DECOMPOSED]
    normal = _bounded(unicodedata.normalize("NFC", seen).strip() or seen)
    if len(normal.encode()) <= MAX_KEY_BYTES:
        return normal
    digest = hashlib.sha256(normal.encode()).hexdigest()
    return f"{_cut(normal, MAX_KEY_BYTES - len(digest) - 1)}~{digest}"


def is_seen(name: str) -> bool:
    """Whether a name has visible characters; every picture's name has."""
    return bool(_harmless(name))


def name_fields(filename: str | None, guessed: object) -> dict[str, Any]:
    """The fields for a name in an answer; ``filename_guessed`` is present only when the name was guessed."""
    return {"filename": filename, **({"filename_guessed": True} if guessed is True else {})}


def _harmless(given: str) -> str:
    """The name without dangerous characters; empty when only blanks, dots and joiners are left."""
    last = FOLDERS.split(given)[-1]
    name = "".join(c for c in last if c not in TURNS and unicodedata.category(c) not in REMOVED)
    return name if any(c != "." and not c.isspace() and unicodedata.category(c) != "Cf" for c in name) else ""


def _bounded(name: str) -> str:
    """The name cut to MAX_BYTES bytes; its ending is kept."""
    if len(name.encode()) <= MAX_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) <= MAX_ENDING:
        return f"{_cut(stem, MAX_BYTES - len(ending.encode()) - 1)}.{ending}"
    return _cut(name, MAX_BYTES)


def _cut(text: str, most: int) -> str:
    """The longest beginning of a text that fits into ``most`` bytes."""
    return text.encode()[:most].decode(errors="ignore")

"""Reads the numbered class names of YOLO labels from names.yaml, data.yaml, or a list such as classes.txt.

Only a small part of YAML is needed, so there is no full parser: a key at the left edge, with a value beside it, or a
list or mapping of scalars below it or in brackets.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from stageline.evaluation.dataset import BadDataSet

LISTS = ("classes.txt", "obj.names", "labels.txt")
YAMLS = ("names.yaml", "names.yml", "data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
NAME_FILES = (*YAMLS, *LISTS)
MAX_BYTES = 1 << 20
KEY = re.compile(r"^([A-Za-z_][\w.-]*)\s*:(?:\s+(.*))?$")
ITEM = re.compile(r"^-\s+(.*)$")
ENTRY = re.compile(r"""^["']?(\d{1,6})["']?\s*:\s+(.*)$""")
BEFORE_QUOTES = " \t,[{:-"  # elsewhere a quote is an apostrophe


def read_names(path: Path) -> dict[int, str]:
    """Return the class names by number.

    Raises:
        BadDataSet: the file cannot be read, or has no class names.
    """
    if path.suffix.lower() in (".yaml", ".yml"):
        return _names(path, read_yaml(path).get("names", []))
    return {number: line.strip() for number, line in enumerate(text_of(path).splitlines()) if line.strip()}


def read_yaml(path: Path) -> Mapping[str, list[str]]:
    """Return the keys at the left edge of a file, each with its lines: those beside it and below it.

    Raises:
        BadDataSet: the file cannot be read.
    """
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for raw in text_of(path).splitlines():
        line = _without_comment(raw).rstrip()
        key = KEY.match(line)
        if key:
            lines = found.setdefault(key[1], [])
            line = key[2] or ""
        if line.strip():
            lines.append(line.strip())
    return found


def scalar(text: str) -> str:
    """Return a value without its quotes."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def text_of(path: Path) -> str:
    """Return the content of a text file.

    Raises:
        BadDataSet: the file cannot be read, is too large, or is no text.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadDataSet(f"{path} has more than {MAX_BYTES:,} bytes: that is no list of classes or labels")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadDataSet(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise BadDataSet(f"{path} cannot be read: {error.strerror or error}") from None


def _names(path: Path, lines: list[str]) -> dict[int, str]:
    text = " ".join(lines)
    if text[:1] in ("[", "{"):
        if text[-1] != {"[": "]", "{": "}"}[text[0]]:
            raise BadDataSet(f"{path}: the bracket that opens after names: does not close")
        entries = list(_split(text[1:-1]))
        items = [f"- {entry}" for entry in entries] if text[0] == "[" else [e.replace(":", ": ", 1) for e in entries]
    else:
        items = lines
    found: dict[int, str] = {}
    for place, item in enumerate(items):
        listed, entry = ITEM.match(item), ENTRY.match(item)
        if listed:
            found[place] = scalar(listed[1])
        elif entry:
            found[int(entry[1])] = scalar(entry[2])
        else:
            raise BadDataSet(f"{path}: {item[:60]!r} under names: is neither '- name' nor 'number: name'")
    if not any(found.values()):
        raise BadDataSet(f"{path} names no classes: it needs names: with a list, or a mapping of numbers to names")
    return found


def _split(text: str) -> Iterator[str]:
    """Yield the parts between unquoted commas, without empty ones."""
    first = 0
    for at in (*(at for at in _unquoted(text) if text[at] == ","), len(text)):
        if text[first:at].strip():
            yield text[first:at].strip()
        first = at + 1


def _without_comment(line: str) -> str:
    for at in _unquoted(line):
        if line[at] == "#" and (at == 0 or line[at - 1].isspace()):
            return line[:at]
    return line


def _unquoted(text: str) -> Iterator[int]:
    """Yield the indices of a text's unquoted characters."""
    quote = ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (at == 0 or text[at - 1] in BEFORE_QUOTES):
            quote = character
        else:
            yield at

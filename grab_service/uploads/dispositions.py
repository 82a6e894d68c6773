"""Reads the names in the headers of a form's part from bytes, in any encoding and also where malformed. Pure."""

import contextlib
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from stageline.pipeline.filenames import Name, decoded

LINE_BREAK = re.compile(rb"\r\n|\n|\r")
CONTINUED = re.compile(rb"(?:\r\n|\n|\r)[ \t]")
BLANK = b" \t"
MAX_LANGUAGE = 40  # characters: a longer one means that the quotes belong to the name
MAX_PARAMETERS = 32
# A quote ends a value only before the end of the header or the next parameter. Other quotes belong to the value: some
# clients do not escape them, and a backslash before a quote may be the second byte of a character.
END = re.compile(rb'"[ \t]*(?:$|(?:;[ \t]*)+(?:$|[^\s;="]+[ \t]*=))')
LOOSE_END = re.compile(rb'"[ \t]*(?:;|$)')
ESCAPED = re.compile(rb'\\([\\"])')
MARKED = re.compile(rb"([a-zA-Z]{1,16})(?:\*(\d{1,3}))?(\*)?")
CHARSETS = frozenset(
    name.encode()
    for name in ("utf-8", "us-ascii", "shift_jis", "euc-jp", "gbk", "gb2312", "gb18030", "big5", "euc-kr", "koi8-r",
                 "koi8-u", *(f"iso-8859-{n}" for n in (*range(1, 12), *range(13, 17))),
                 *(f"windows-{n}" for n in range(1250, 1259)))
)  # fmt: skip


class Part(NamedTuple):
    """The field and the filename of a part; None where the header has none."""

    field: str | None = None
    filename: Name | None = None


class _Piece(NamedTuple):
    """A piece of a parameter's value (RFC 2231), and whether it is percent-encoded after a charset."""

    number: int
    value: bytes
    is_extended: bool


def part_of(headers: bytes) -> Part:
    """Read the headers of a part; without a valid Content-Disposition it has no names."""
    for line in LINE_BREAK.split(CONTINUED.sub(b" ", headers)):
        name, _, value = line.partition(b":")
        if name.strip(BLANK).lower() == b"content-disposition":
            return _named(value)
    return Part()


def _named(disposition: bytes) -> Part:
    pieces: dict[bytes, list[_Piece]] = {}
    for key, value in islice(_parameters(disposition.partition(b";")[2]), MAX_PARAMETERS):
        marked = MARKED.fullmatch(key)
        if marked is None:
            continue
        name, number, star = marked.groups()
        same = pieces.setdefault(name.lower() + (b"*" if number or star else b""), [])
        if number or not same:  # the first of two counts
            same.append(_Piece(int(number or 0), value, is_extended=star is not None))
    field, filename = (_best(pieces.get(name + b"*"), pieces.get(name)) for name in (b"name", b"filename"))
    return Part(field and field.text, filename)


def _parameters(rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the parameters of a header with their unquoted values."""
    at = 0
    while (equals := rest.find(b"=", at)) >= 0:
        key = rest[at:equals].rpartition(b";")[2].strip(BLANK)
        begin = equals + 1
        while rest[begin : begin + 1] in (b" ", b"\t"):
            begin += 1
        if rest[begin : begin + 1] != b'"':
            end = rest.find(b";", begin)
            at = len(rest) if end < 0 else end
            yield key, rest[begin:at].strip(BLANK)
            continue
        closing = END.search(rest, begin + 1) or LOOSE_END.search(rest, begin + 1)
        end = closing.start() if closing else len(rest)
        at = end + 1
        yield key, ESCAPED.sub(rb"\1", rest[begin + 1 : end]).replace(b"%22", b'"')  # browsers encode a quote as %22


def _best(extended: list[_Piece] | None, plain: list[_Piece] | None) -> Name | None:
    """Return the value of ``name*``, the more exact one, unless it is a guess and that of ``name`` is not."""
    found = [_value(pieces) for pieces in (extended, plain) if pieces]
    return next((name for name in found if not name.guessed), found[0] if found else None)


def _value(pieces: list[_Piece]) -> Name:
    charset, raw = b"", b""
    for place, piece in enumerate(sorted(pieces, key=lambda piece: piece.number)):
        value = piece.value
        if piece.is_extended:
            declared, quote, rest = value.partition(b"'")
            language, end, text = rest.partition(b"'")
            if place == 0 and quote and end and len(language) <= MAX_LANGUAGE:
                charset, value = declared.lower(), text
            value = unquote_to_bytes(value)
        raw += value
    if charset in CHARSETS:
        with contextlib.suppress(UnicodeDecodeError):  # the declared charset is wrong
            return Name(raw.decode(charset.decode()))
    return decoded(raw)

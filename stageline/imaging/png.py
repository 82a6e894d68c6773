"""Parses the chunks of PNG files before a library sees them. PNG, third edition (W3C, 2025)."""

import binascii
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stageline.core.errors import BadImage
from stageline.imaging import icc
from stageline.imaging.parts import MAX_PROFILE, Parts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FEW_CHUNKS = 1000  # each costs an object in Python
MAX_RAW = 1024 * 1024  # bytes of hexadecimal digits in a text
_PIXELS, _END, _TRANSPARENT = b"IDAT", b"IEND", b"tRNS"
_INTENTS = {bytes([number]) for number in range(4)}  # the valid contents of sRGB's chunk
_TEXTS = (b"tEXt", b"zTXt")
_RAW_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")  # ImageMagick's form, from before eXIf
_ANCILLARY = 0x20  # in a chunk's first letter: a decoder may skip it
_READ = {b"IHDR", b"PLTE", _TRANSPARENT, b"eXIf", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", *_TEXTS}
_GREY, _RGB, _PALETTE = 0, 2, 3  # colour types


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    content: bytes
    is_whole: bool  # the chunk ends within the file and, if ancillary, its checksum is right
    end: int


def read(data: bytes) -> Parts:
    """Parse a PNG; ancillary chunks that are damaged, or inflate to too much, count as absent.

    Raises:
        BadImage: it has more chunks than any program writes.
    """
    pieces, first = [SIGNATURE], dict[bytes, bytes]()
    for chunk in _chunks(data):
        pixels_began = _PIXELS in first
        if chunk.kind == _END:
            break
        if not chunk.kind[0] & _ANCILLARY:
            pieces.append(data[chunk.start : chunk.end] if chunk.is_whole else _shortened(chunk))
            first.setdefault(chunk.kind, chunk.content)
        elif chunk.kind not in _READ or not chunk.is_whole:
            continue
        elif chunk.kind in _TEXTS:
            keyword = chunk.content.partition(b"\0")[0]
            if keyword in _RAW_EXIF and keyword not in first:  # a thousand of them cost no more than one
                first[keyword] = _raw_exif(chunk)
        elif chunk.kind not in first and (not pixels_began or chunk.kind == b"eXIf"):  # colours precede pixels
            first[chunk.kind] = chunk.content
            if chunk.kind == _TRANSPARENT:
                pieces.append(_transparent(chunk.content, first))
    exif = next((first[name] for name in (b"eXIf", *_RAW_EXIF) if first.get(name)), None)
    return Parts(b"".join([*pieces, _made(_END, b"")]), exif, tuple(_profiles(first, is_grey=_is_grey(first))))


def _is_grey(first: Mapping[bytes, bytes]) -> bool:
    return first.get(b"IHDR", b"")[9:10] in (b"\0", b"\4")  # the latter is with alpha


def is_grey(essential: bytes) -> bool:
    """Return whether a PNG has one channel of colour: Pillow makes three of deep grey with alpha."""
    return essential[25:26] in (b"\0", b"\4")


def has_deep_transparent_colour(essential: bytes) -> bool:
    """Return whether a colour of 3 × 16 bits counts as transparent; Pillow drops half of its bits, OpenCV does not."""
    depth_and_colours = essential[24:26]
    return depth_and_colours == b"\x10\x02" and _TRANSPARENT in essential[:4096].partition(_PIXELS)[0]


def _chunks(data: bytes) -> Iterator[_Chunk]:
    most, at = FEW_CHUNKS + len(data) // 256, len(SIGNATURE)
    for _ in range(most):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        content, is_whole = b"", end <= len(data)
        if kind in _READ or not is_whole:
            content = data[at + 8 : at + 8 + length]
        if kind in _READ and is_whole and kind[0] & _ANCILLARY:
            is_whole = data[end - 4 : end] == _checksum(kind, content)
        yield _Chunk(kind, at, content, is_whole, end)
        if kind == _END:
            return
        at = end
    raise BadImage(f"the PNG is in more than {most:,} chunks")


def _shortened(chunk: _Chunk) -> bytes:
    """Return a truncated chunk with its real length: a decoder allocates the length that a chunk claims."""
    return _made(chunk.kind, chunk.content)


def _made(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + _checksum(kind, content)


def _checksum(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _transparent(content: bytes, first: Mapping[bytes, bytes]) -> bytes:
    """Return the tRNS chunk at its valid length; grey of few bits is scaled to the decoded value.

    Empty if the chunk is invalid: a decoder would refuse the picture for it.
    """
    header = first.get(b"IHDR", b"")
    depth, colour = (header[8], header[9]) if len(header) > 9 else (0, 0)  # noqa: PLR2004 - where they stand
    least, most = {_GREY: (2, 2), _RGB: (6, 6), _PALETTE: (1, len(first.get(b"PLTE", b"")) // 3)}.get(colour, (1, 0))
    content = content[:most]
    if len(content) < least:
        return b""
    if colour == _GREY and depth in (1, 2, 4):
        white, named = (1 << depth) - 1, int.from_bytes(content, "big")
        content = struct.pack(">H", named * 255 // white if named <= white else 0xFFFF)
    return _made(_TRANSPARENT, content)


def _profiles(chunks: Mapping[bytes, bytes], *, is_grey: bool) -> Iterator[bytes]:
    """Yield the colour profiles, the best first, as browsers do: cICP, iCCP, sRGB, gAMA with cHRM or alone."""
    cicp = icc.of_code_points(chunks.get(b"cICP", b""), is_grey=is_grey)
    if cicp is not None:
        yield cicp
        return
    if b"iCCP" in chunks:
        yield _inflated(chunks[b"iCCP"].partition(b"\0")[2][1:], MAX_PROFILE)
    if chunks.get(b"sRGB") in _INTENTS:
        return
    made = icc.of_gamma(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""), is_grey=is_grey)
    if made is not None:
        yield made


def _raw_exif(chunk: _Chunk) -> bytes:
    """Return the EXIF block in a text chunk: a name, a length and hexadecimal digits, each on lines of their own."""
    text = chunk.content.partition(b"\0")[2]
    if chunk.kind == b"zTXt":
        text = _inflated(text[1:], MAX_RAW)
    try:
        return binascii.unhexlify(b"".join(text[:MAX_RAW].split()[2:]))
    except ValueError:
        return b""


def _inflated(data: bytes, most: int) -> bytes:
    """Inflate; return nothing if the data is damaged, or inflates to more than ``most`` bytes."""
    inflating = zlib.decompressobj()
    try:
        found = inflating.decompress(data, most)
    except zlib.error:
        return b""
    return b"" if inflating.unconsumed_tail or not inflating.eof else found

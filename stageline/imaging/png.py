"""PNG files: their chunks, read before a library is let near them. PNG, third edition (W3C, 2025)."""

import binascii
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from stageline.errors import BadImage
from stageline.imaging import icc
from stageline.imaging.parts import Parts

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FEW_CHUNKS = 1000  # each costs an object in Python
MOST_PROFILE = 4 * 1024 * 1024  # bytes, inflated
MOST_RAW = 1024 * 1024  # bytes of hexadecimal digits in a text
_PIXELS, _END, _TRANSPARENT = b"IDAT", b"IEND", b"tRNS"
_TEXTS = (b"tEXt", b"zTXt")
_RAW_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")  # how ImageMagick wrote it before there was eXIf
_ANCILLARY = 0x20  # in a chunk's first letter: a decoder may pass over it
_READ = {b"IHDR", _TRANSPARENT, b"eXIf", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", *_TEXTS}
_GREY, _GREYS = 0, (b"\0", b"\4")  # colour types; the other grey is with alpha
_DEEPEST_SCALED = 4  # bits: grey of fewer than 8 is spread over 0..255 when it is decoded


class _Chunk(NamedTuple):
    kind: bytes
    start: int
    content: bytes
    sound: bool  # whether its checksum is right; as the content, only looked at where it is read here
    end: int


def read(data: bytes) -> Parts:
    """Take a PNG apart; ancillary chunks that are damaged, or inflate to too much, count as absent.

    Raises:
        BadImage: it is in more chunks than any program writes.
    """
    pieces, first, header = [SIGNATURE], dict[bytes, bytes](), b""
    before_pixels = True
    for chunk in _chunks(data):
        before_pixels = before_pixels and chunk.kind != _PIXELS
        if chunk.kind == b"IHDR":
            header = chunk.content
        if not chunk.kind[0] & _ANCILLARY:
            pieces.append(data[chunk.start : chunk.end])
        elif chunk.kind not in _READ or not chunk.sound:
            continue
        elif chunk.kind == _TRANSPARENT:
            pieces.append(_transparent(chunk.content, header))
        elif chunk.kind in _TEXTS:
            keyword = chunk.content.partition(b"\0")[0]
            if keyword in _RAW_EXIF and keyword not in first:  # which is what keeps a thousand of them from costing
                first[keyword] = _raw_exif(chunk)
        elif before_pixels or chunk.kind == b"eXIf":  # which may stand behind them; what says the colours may not
            first.setdefault(chunk.kind, chunk.content)
    exif = next((first[name] for name in (b"eXIf", *_RAW_EXIF) if first.get(name)), None)
    return Parts(b"".join(pieces), exif, tuple(_profiles(first, is_grey=header[9:10] in _GREYS)))


def has_deep_transparent_colour(essential: bytes) -> bool:
    """Whether a colour of three times 16 bits counts as transparent; Pillow drops half of its bits, OpenCV does not."""
    depth_and_colours = essential[24:26]
    return depth_and_colours == b"\x10\x02" and _TRANSPARENT in essential[:4096].partition(_PIXELS)[0]


def _chunks(data: bytes) -> Iterator[_Chunk]:
    most, at = FEW_CHUNKS + len(data) // 256, len(SIGNATURE)
    for _ in range(most):
        if at + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        content, sound = b"", True
        if kind in _READ:
            content = data[at + 8 : at + 8 + length]
            sound = data[end - 4 : end] == struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        yield _Chunk(kind, at, content, sound, end)
        if kind == _END:
            return
        at = end
    raise BadImage(f"the PNG is in more than {most:,} chunks")


def _transparent(content: bytes, header: bytes) -> bytes:
    """The chunk that names the transparent colour, with grey of 1, 2 and 4 bits as what it is decoded to."""
    depth, colour = (header[8], header[9]) if len(header) > 9 else (8, 2)  # noqa: PLR2004 - where they stand
    if colour == _GREY and depth <= _DEEPEST_SCALED and len(content) >= 2:  # noqa: PLR2004 - a number of 16 bits
        most = (1 << depth) - 1
        named = int.from_bytes(content[:2], "big")
        content = struct.pack(">H", named * 255 // most if named <= most else 0xFFFF)
    body = _TRANSPARENT + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def _profiles(chunks: dict[bytes, bytes], *, is_grey: bool) -> Iterator[bytes]:
    """What says the colours, the best first, as browsers have it: cICP, iCCP, sRGB, gAMA with cHRM or alone."""
    cicp = icc.of_code_points(chunks.get(b"cICP", b""), is_grey=is_grey)
    if cicp is not None:
        yield cicp
        return
    if b"iCCP" in chunks:
        yield _inflated(chunks[b"iCCP"].partition(b"\0")[2][1:], MOST_PROFILE)
    if b"sRGB" in chunks:
        return
    made = icc.of_gamma(chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b""), is_grey=is_grey)
    if made is not None:
        yield made


def _raw_exif(chunk: _Chunk) -> bytes:
    """EXIF out of a text: a name, a length, and hexadecimal digits, on lines of their own."""
    text = chunk.content.partition(b"\0")[2]
    if chunk.kind == b"zTXt":
        text = _inflated(text[1:], MOST_RAW)
    try:
        return binascii.unhexlify(b"".join(text[:MOST_RAW].split()[2:]))
    except ValueError:
        return b""


def _inflated(data: bytes, most: int) -> bytes:
    """Inflate; nothing where it is damaged, or inflates to more than ``most`` bytes."""
    inflating = zlib.decompressobj()
    try:
        found = inflating.decompress(data, most)
    except zlib.error:
        return b""
    return b"" if inflating.unconsumed_tail or not inflating.eof else found

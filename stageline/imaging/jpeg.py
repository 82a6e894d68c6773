"""JPEG files: their segments, read before a library that would spend hours on them is let near; and their damage."""

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

import simplejpeg

from stageline.errors import BadImage
from stageline.imaging.exif import PREFIX as EXIF
from stageline.imaging.parts import Parts
from stageline.imaging.scans import Scans

START = b"\xff\xd8"
END = b"\xff\xd9"
# A decoder goes over the whole picture once for each scan, and one of no content costs 70 bytes: 25 MB of them
# keep a core for hours. Progressive JPEGs have 10 or so. Segments cost an object in Python each.
MOST_SCANS = 100
FEW_SEGMENTS = 1000
MOST_PROFILE = 4 * 1024 * 1024  # bytes; those of printing presses have up to 3 MB
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)  # neither a stuffed zero nor a restart
_SOI, _EOI, _SOS, _TEM, _APP0, _APP1, _APP2, _APP14, _COM = 0xD8, 0xD9, 0xDA, 0x01, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_DHT = 0xC4
_FRAMES = {*range(0xC0, 0xD0)} - {_DHT, 0xC8, 0xCC}
_METADATA = {*range(_APP0, _APP0 + 16), _COM}
_HOW_TO_DECODE = {_APP0: b"JFIF\0", _APP14: b"Adobe"}  # these say what the colours are
_ICC = b"ICC_PROFILE\0"
_PADDING = b"\0\xff"  # what cameras fill a file up with before its end marker, or where it should be
_LEFT_OVER = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
_FEW_LEFT_OVER = 2  # bytes; webcams leave one or two, a decoder that lost its place more
_DAMAGE = "Corrupt JPEG data"  # how the decoder's sentences begin that tell of lost or foreign data in the pixels


class _Segment(NamedTuple):
    """One marker and what belongs to it, from ``start`` up to ``end``; ``content`` is where its length stands."""

    marker: int
    start: int
    content: int
    end: int


def read(data: bytes) -> Parts:
    """Take a JPEG apart, up to the end of its first picture; one that lacks only its end marker is given one.

    Raises:
        BadImage: it has parts in numbers that no camera and no program writes.
    """
    pieces, kept_from, end = [], 0, len(data)
    exif, profile, scans = None, dict[int, bytes](), Scans()
    segments = list(_segments(data))
    for segment, after in zip_longest(segments, segments[1:]):
        content = data[segment.content + 2 : segment.end] if segment.marker != _EOI else b""
        if segment.marker == _EOI:
            end = segment.start
        elif segment.marker in _FRAMES:
            scans.frame(segment.marker, content)
        elif segment.marker == _DHT:
            scans.tables(content)
        elif segment.marker == _SOS:
            scans.scan(content, data, segment.end, after.start if after else len(data))
        elif segment.marker in _METADATA and not _says_how_to_decode(segment.marker, content):
            pieces.append(data[kept_from : segment.start])
            kept_from = segment.end
            if segment.marker == _APP1 and exif is None and content.startswith(EXIF):
                exif = content
            elif segment.marker == _APP2 and content.startswith(_ICC):
                profile.setdefault(content[12] if len(content) > len(_ICC) else 0, content[14:])
    essential = b"".join([*pieces, data[kept_from:end], END])
    return Parts(essential, exif, _joined(profile), scans.flaw())


def refuse_damaged(parts: Parts) -> bool:
    """Decode at an eighth of the size, in grey, and listen to what the decoder says.

    Returns:
        Whether it could tell: False for the few kinds of JPEG that it does not decode.

    Raises:
        BadImage: pixels are missing or damaged.
    """
    if parts.flaw:
        raise _damaged(parts.flaw)
    essential = parts.essential
    for _ in range(3):
        try:
            simplejpeg.decode_jpeg(essential, "GRAY", fastdct=True, min_height=1, min_width=1)
        except ValueError as error:
            said = str(error)
        else:
            return True
        left_over = _LEFT_OVER.fullmatch(said)
        if left_over and _is_harmless(essential, int(left_over[1])):
            # Only the last warning is told, and zeros are codes too: without all that, is anything wrong?
            essential = essential[: _end_of_pixels(essential[:-2], int(left_over[1]))] + END
        elif said.startswith(_DAMAGE):
            raise _damaged(said.removeprefix(f"{_DAMAGE}: "))
        else:
            return False
    return True


def _damaged(why: str) -> BadImage:
    return BadImage(f"the JPEG is damaged, and a part of its pixels is lost: {why}; send the whole file")


def _segments(data: bytes) -> Iterator[_Segment]:
    """Go from marker to marker as a decoder does, up to the end of the first picture."""
    most, at, scans = FEW_SEGMENTS + len(data) // 32_768, len(START), 0
    for _ in range(most):
        found = _MARKER.search(data, at)
        if found is None:
            return
        marker, content = found[1][0], found.end()
        alone = marker in (_SOI, _TEM, _EOI)
        at = content if alone else content + int.from_bytes(data[content : content + 2], "big")
        yield _Segment(marker, found.start(), content, at)
        if marker == _EOI:
            return
        scans += marker == _SOS
        if scans > MOST_SCANS:
            raise BadImage(f"the JPEG is in more than {MOST_SCANS} scans, which is all that are taken")
    raise BadImage(f"the JPEG is in more than {most:,} segments, which is all that are taken")


def _says_how_to_decode(marker: int, content: bytes) -> bool:
    return marker in _HOW_TO_DECODE and content.startswith(_HOW_TO_DECODE[marker])


def _is_harmless(essential: bytes, count: int) -> bool:
    """Whether so many bytes before the end marker are what some cameras leave there."""
    return count <= _FEW_LEFT_OVER or not essential[-2 - count : -2].strip(_PADDING)


def _end_of_pixels(data: bytes, left_over: int) -> int:
    """Where the pixels end, before what the file was filled up with."""
    end = len(data.rstrip(_PADDING))
    if end == len(data):
        return end - left_over
    return end + 2 if data[end : end + 2] == b"\xff\0" else end  # that pair is a byte of the pixels


def _joined(profile: dict[int, bytes]) -> tuple[bytes, ...]:
    """The ICC profile out of its numbered pieces; none where one is missing, or there is too much of it."""
    whole = set(profile) == set(range(1, len(profile) + 1)) and profile
    size = sum(map(len, profile.values()))
    return (b"".join(profile[number] for number in sorted(profile)),) if whole and size <= MOST_PROFILE else ()

"""What a picture's raw bytes say, read before a library that would spend memory or hours on them is let near."""

import re
import struct

from stageline.errors import BadImage

# A decoder goes over the whole picture once for each scan, and one of no content costs 70 bytes: 25 MB of them
# keep a core for hours. Progressive JPEGs have 10 or so. Segments and chunks cost an object in Python each.
MOST_SCANS = 100
FEW_SEGMENTS = 1000
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)  # neither a stuffed zero nor a restart
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_VP8_START, _VP8L_SIGNATURE = b"\x9d\x01\x2a", 0x2F
_PNG = b"\x89PNG\r\n\x1a\n"


def refuse_hostile(data: bytes) -> None:
    """Look for parts in numbers that no camera and no program writes.

    Raises:
        BadImage: there are.
    """
    if data.startswith(b"\xff\xd8"):
        _walk_jpeg(data)
    elif data.startswith(_PNG):
        png_exif(data)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and height that a WebP claims; Pillow allots its canvas before it tells. None for others."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:  # noqa: PLR2004 - the longest header below
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and data[20] == _VP8L_SIGNATURE:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == _VP8_START:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def png_exif(data: bytes) -> bytes | None:
    """Return a PNG's eXIf chunk, which may stand behind the pixels, without decoding them.

    Raises:
        BadImage: it is in more chunks than any program writes.
    """
    most, at = FEW_SEGMENTS + len(data) // 256, len(_PNG)
    for _ in range(most):
        if at + 8 > len(data):
            return None
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"eXIf":
            return data[at + 8 : at + 8 + length]
        if kind == b"IEND":
            return None
        at += 12 + length
    raise BadImage(f"the PNG is in more than {most:,} chunks")


def _walk_jpeg(data: bytes) -> None:
    """Go from marker to marker as a decoder does, up to the end of the first picture."""
    most, at, scans = FEW_SEGMENTS + len(data) // 32_768, 2, 0
    for _ in range(most):
        found = _JPEG_MARKER.search(data, at)
        if found is None or found[1][0] == _EOI:
            return
        marker, at = found[1][0], found.end()
        if marker not in (_SOI, _TEM):
            at += int.from_bytes(data[at : at + 2], "big")
        scans += marker == _SOS
        if scans > MOST_SCANS:
            raise BadImage(f"the JPEG is in more than {MOST_SCANS} scans, which is all that are taken")
    raise BadImage(f"the JPEG is in more than {most:,} segments, which is all that are taken")

"""Parses the container of WebP files (RFC 9649)."""

import struct

from stageline.imaging.parts import MAX_PROFILE, Parts

MAX_CHUNKS = 1000
_VP8_START, _VP8L_SIGNATURE = b"\x9d\x01\x2a", 0x2F


def is_webp(data: bytes) -> bool:
    """Return whether the data begins like a WebP file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def size(data: bytes) -> tuple[int, int] | None:
    """Return the width and height in the header, before Pillow allocates its canvas; None if there are none."""
    if not is_webp(data) or len(data) < 30:  # noqa: PLR2004 - the longest header below
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


def read(data: bytes) -> Parts:
    """Parse a WebP; libwebp skips metadata itself, so the file stays as it is."""
    first: dict[bytes, bytes] = {}
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind in (b"EXIF", b"ICCP"):
            first.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    profile = first.get(b"ICCP", b"")
    return Parts(data, first.get(b"EXIF"), (profile,) if 0 < len(profile) <= MAX_PROFILE else ())

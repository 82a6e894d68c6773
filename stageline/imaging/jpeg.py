"""Parses the segments of JPEG files before a library sees them, which could take hours (ITU T.81, annex B)."""

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from stageline.core.errors import BadImage
from stageline.imaging.exif import BEGINNING as EXIF
from stageline.imaging.parts import MAX_PROFILE, Parts
from stageline.imaging.scans import Scans

START = b"\xff\xd8"
END = b"\xff\xd9"
# A decoder goes over the whole picture once for each scan, and an empty scan takes 70 bytes: 25 MB of them keep a
# core busy for hours. Progressive JPEGs have about 10. Each segment costs an object in Python.
MAX_SCANS = 100
FEW_SEGMENTS = 1000
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)  # neither a stuffed zero nor a restart
_SOI, _EOI, _SOS, _TEM, _DHT, _COM = 0xD8, 0xD9, 0xDA, 0x01, 0xC4, 0xFE
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_ALONE = {_SOI, _EOI, _TEM}  # markers without a length and content
_FRAMES = {*range(0xC0, 0xD0)} - {_DHT, 0xC8, 0xCC}
_METADATA = {*range(_APP0, _APP0 + 16), _COM}
_JFIF, _ADOBE, _ICC = b"JFIF\0", b"Adobe", b"ICC_PROFILE\0"
_TRANSFORM = 11  # the place in Adobe's segment that names the colour transform
_TRANSFORMS = {3: (0, 1), 4: (0, 2)}  # by the number of components; a decoder takes others for the second, and warns


class _Segment(NamedTuple):
    """A marker and its content, from ``start`` to ``end``; its length is at ``content``."""

    marker: int
    start: int
    content: int
    end: int


def read(data: bytes) -> Parts:
    """Parse a JPEG up to the end of its first picture; a missing end marker is added.

    Raises:
        BadImage: it has more scans or segments than any camera or program writes.
    """
    reading = _Reading()
    segments = list(_segments(data))
    for segment, after in zip_longest(segments, segments[1:]):
        if segment.marker == _EOI or (segment.marker == _SOI and reading.has_pixels):
            break  # what follows is another picture
        if segment.marker in _ALONE:
            continue
        reading.take(segment.marker, data[segment.content + 2 : segment.end])
        if segment.marker == _SOS:
            reading.take_pixels(data, segment.end, after.start if after else len(data))
    return reading.parts()


class _Reading:
    """The parts read so far, without bytes between segments."""

    def __init__(self) -> None:
        self.has_pixels = False
        self._pieces = [START]
        self._scans = Scans()
        self._exif: bytes | None = None
        self._profile: dict[int, bytes] = {}
        self._header = b""
        self._adobe: int | None = None  # which of the pieces

    def take(self, marker: int, content: bytes) -> None:
        """Add a segment."""
        if marker in _METADATA:
            if not self.has_pixels:
                self._take_metadata(marker, content)
            return
        if marker in _FRAMES:
            self._scans.frame(marker, content)
            self._settle_transform(content[5] if len(content) > 5 else 0)  # noqa: PLR2004 - components, where they stand
        elif marker == _DHT:
            self._scans.tables(content)
        elif marker == _SOS:
            self._header = content = self._scans.plain_header(content)
        self._keep(marker, content)

    def take_pixels(self, data: bytes, begin: int, end: int) -> None:
        """Add the codes after the header of a scan."""
        self.has_pixels = True
        self._scans.scan(self._header, data, begin, end)
        self._pieces.append(data[begin:end])

    def parts(self) -> Parts:
        """Return the parts of the picture."""
        numbers = range(1, len(self._profile) + 1)
        profile = b"".join(self._profile.get(number, b"") for number in numbers)
        whole = set(self._profile) == set(numbers) and 0 < len(profile) <= MAX_PROFILE
        essential = b"".join([*self._pieces, END])
        return Parts(essential, self._exif, (profile,) if whole else (), self._scans.flaw(), self._scans.arithmetic)

    def _take_metadata(self, marker: int, content: bytes) -> None:
        if marker == _APP0 and content.startswith(_JFIF):  # JFIF's and Adobe's segments name the colour transform
            self._keep(marker, content[:5] + b"\1" + content[6:])  # a decoder warns of every other version
        elif marker == _APP14 and content.startswith(_ADOBE) and len(content) > _TRANSFORM:
            self._adobe = len(self._pieces)
            self._keep(marker, content)
        elif marker == _APP1 and self._exif is None and content.startswith(EXIF):
            self._exif = content
        elif marker == _APP2 and content.startswith(_ICC) and len(content) > len(_ICC) + 1:
            self._profile.setdefault(content[len(_ICC)], content[len(_ICC) + 2 :])

    def _settle_transform(self, components: int) -> None:
        """Replace an unknown colour transform by the one that decoders assume: they would warn of it."""
        known = _TRANSFORMS.get(components)
        if self._adobe is None or known is None:
            return
        piece, at = self._pieces[self._adobe], 4 + _TRANSFORM
        if piece[at] not in known:
            self._pieces[self._adobe] = piece[:at] + bytes([known[1]]) + piece[at + 1 :]

    def _keep(self, marker: int, content: bytes) -> None:
        length = (len(content) + 2).to_bytes(2, "big")
        self._pieces.append(b"\xff" + bytes([marker]) + length + content)


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments as a decoder finds them, up to the end of the first picture."""
    most, at, scans = FEW_SEGMENTS + len(data) // 32_768, len(START), 0
    for _ in range(most):
        found = _MARKER.search(data, at)
        if found is None:
            return
        marker, content = found[1][0], found.end()
        at = content if marker in _ALONE else content + int.from_bytes(data[content : content + 2], "big")
        yield _Segment(marker, found.start(), content, max(at, content))
        if marker == _EOI:
            return
        scans += marker == _SOS
        if scans > MAX_SCANS:
            raise BadImage(f"the JPEG is in more than {MAX_SCANS} scans, which is all that are taken")
    raise BadImage(f"the JPEG is in more than {most:,} segments, which is all that are taken")

"""What the scans of a JPEG tell of it that its decoder does not: passes that are missing, and holes."""

import struct

_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}  # ITU T.81, table B.1
_ARITHMETIC = {*range(0xC9, 0xD0)}
_COEFFICIENTS = 64
_LENGTHS = 16  # a Huffman table first says how many codes it has of each length
_MOST_TABLES = 8  # in a segment: four of each class
_END_OF_BLOCK = 0x00
_AC = 1  # a Huffman table's class, the upper half of its first byte; the lower half is its number
_STANDARD = {0: 0x01, 1: _END_OF_BLOCK}  # the tables of files that bring none, T.81, K.3
HOLE = bytes(32)


class Scans:
    """Notes, as a JPEG's segments pass by, what is wrong with its pixels.

    A file that was cut between two scans decodes without a warning, and so, now and then, does one with a hole of
    zeros: zeros are codes too. But where they are not the code that ends a block, no encoder writes hundreds of them.
    All arguments named ``header`` are what stands behind a segment's length.
    """

    def __init__(self) -> None:
        self._progressive = False
        self.arithmetic = False
        self._untold: dict[int, set[int]] = {}  # by component: the coefficients whose last bit is still to come
        self._zeros = dict(_STANDARD)  # by the number of an AC table: what the code of nothing but zeros means
        self._hole = False

    def frame(self, marker: int, header: bytes) -> None:
        """Note which components there are (T.81, B.2.2)."""
        components = header[6::3][: header[5]] if len(header) > 5 else b""  # noqa: PLR2004 - where their number stands
        self._progressive = marker in _PROGRESSIVE
        self.arithmetic = marker in _ARITHMETIC
        needed = range(_COEFFICIENTS if self._progressive else 1)
        self._untold = {component: set(needed) for component in components}

    def tables(self, header: bytes) -> None:
        """Note the first code of each Huffman table (B.2.4.2)."""
        at = 0
        for _ in range(_MOST_TABLES):
            codes = at + 1 + _LENGTHS
            if codes >= len(header):
                return
            if header[at] >> 4 == _AC:
                self._zeros[header[at] & 0x0F] = header[codes]
            at = codes + sum(header[at + 1 : codes])

    def plain_header(self, header: bytes) -> bytes:
        """A scan's header as its decoder expects it: sequential files of some programs have zeros at its end."""
        return header if self._progressive else header[:-3] + b"\0\x3f\0"

    def scan(self, header: bytes, data: bytes, begin: int, end: int) -> None:
        """Note what a scan tells (B.2.3), whose codes are ``data[begin:end]``."""
        count = header[0] if header else 0
        try:
            first, last, bits = struct.unpack_from("BBB", header, 1 + 2 * count)
        except struct.error:
            return
        components = dict(zip(header[1 : 1 + 2 * count : 2], header[2 : 2 + 2 * count : 2], strict=False))
        settled = set(range(first, last + 1)) if self._progressive else {0}
        if not (self._progressive and bits & 0x0F):  # else some of each number's bits come in a later scan
            for component in components.keys() & self._untold.keys():
                self._untold[component] -= settled
        zeros = {self._zeros.get(tables & 0x0F, _END_OF_BLOCK) for tables in components.values()}
        if not self._progressive and zeros != {_END_OF_BLOCK}:
            at = data.find(HOLE, begin, end)
            self._hole = self._hole or (at >= 0 and bool(data[at:end].strip(b"\0\xff")))  # not what fills up the end

    def flaw(self) -> str:
        """What is wrong, as the end of a sentence; empty where nothing is known to be."""
        if self._hole:
            return "there is a hole of zeros in them"
        return "the last passes over the picture are missing" if any(self._untold.values()) else ""

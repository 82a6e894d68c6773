"""Finds damage in the scans of a JPEG that its decoder does not report: missing passes, and holes."""

import struct

_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}  # ITU T.81, table B.1
_ARITHMETIC = {*range(0xC9, 0xD0)}
_COEFFICIENTS = 64
_LENGTHS = 16  # a Huffman table begins with the number of its codes of each length
_MOST_TABLES = 8  # in a segment: four of each class
_END_OF_BLOCK = 0x00
_AC = 1  # a Huffman table's class, the upper half of its first byte; the lower half is its number
_STANDARD = {0: 0x01, 1: _END_OF_BLOCK}  # the tables of files without their own, T.81, K.3
HOLE = bytes(32)


class Scans:
    """Collects what is wrong with a JPEG's pixels, segment by segment.

    A file that was cut between two scans decodes without a warning, and so, sometimes, does one with a hole of zeros:
    zeros are codes too. But unless they are the code that ends a block, no encoder writes hundreds of them. All
    arguments named ``header`` are the bytes after a segment's length.
    """

    def __init__(self) -> None:
        self._progressive = False
        self.arithmetic = False
        self._unsettled: dict[int, set[int]] = {}  # by component: the coefficients whose last bit is still to come
        self._zeros = dict(_STANDARD)  # by the number of an AC table: what the code of nothing but zeros means
        self._hole = False

    def frame(self, marker: int, header: bytes) -> None:
        """Read the components (T.81, B.2.2)."""
        components = header[6::3][: header[5]] if len(header) > 5 else b""  # noqa: PLR2004 - where their number stands
        self._progressive = marker in _PROGRESSIVE
        self.arithmetic = marker in _ARITHMETIC
        needed = range(_COEFFICIENTS if self._progressive else 1)
        self._unsettled = {component: set(needed) for component in components}

    def tables(self, header: bytes) -> None:
        """Read the first code of each Huffman table (B.2.4.2)."""
        at = 0
        for _ in range(_MOST_TABLES):
            codes = at + 1 + _LENGTHS
            if codes >= len(header):
                return
            if header[at] >> 4 == _AC:
                self._zeros[header[at] & 0x0F] = header[codes]
            at = codes + sum(header[at + 1 : codes])

    def plain_header(self, header: bytes) -> bytes:
        """Return a scan's header as its decoder expects it: some programs write zeros at the end of sequential ones."""
        return header if self._progressive else header[:-3] + b"\0\x3f\0"

    def scan(self, header: bytes, data: bytes, begin: int, end: int) -> None:
        """Read a scan (B.2.3), whose codes are ``data[begin:end]``."""
        count = header[0] if header else 0
        try:
            first, last, bits = struct.unpack_from("BBB", header, 1 + 2 * count)
        except struct.error:
            return
        components = dict(zip(header[1 : 1 + 2 * count : 2], header[2 : 2 + 2 * count : 2], strict=False))
        settled = set(range(first, last + 1)) if self._progressive else {0}
        if not (self._progressive and bits & 0x0F):  # else some bits of each number come in a later scan
            for component in components.keys() & self._unsettled.keys():
                self._unsettled[component] -= settled
        zeros = {self._zeros.get(tables & 0x0F, _END_OF_BLOCK) for tables in components.values()}
        if not self._progressive and zeros != {_END_OF_BLOCK}:
            at = data.find(HOLE, begin, end)
            self._hole = self._hole or (at >= 0 and bool(data[at:end].strip(b"\0\xff")))  # not what fills up the end

    def flaw(self) -> str:
        """Return what is wrong, as the end of a sentence; empty if nothing is."""
        if self._hole:
            return "there is a hole of zeros in them"
        return "the last passes over the picture are missing" if any(self._unsettled.values()) else ""

"""Reads the orientation of a picture from EXIF, and nothing else of it."""

import struct

UPRIGHT = 1
ORIENTATION = 0x0112  # EXIF 2.32, tag 274
BEGINNING = b"Exif\0"  # followed by any one byte
MAX_PREFIXES = 4  # some programs write the prefix twice
MAX_FIELDS = 1000
_FIELD = 12  # bytes: tag, type, count, value
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # TIFF's types of integers, as struct writes them


def orientation(block: bytes | None) -> int:
    """Return tag 274 of the first IFD, 1 to 8, of any integer type; 1 if it is absent or damaged.

    Args:
        block: an EXIF block, with or without its ``Exif`` prefix.
    """
    if block is None:
        return UPRIGHT
    for _ in range(MAX_PREFIXES):
        if block.startswith(BEGINNING):
            block = block[len(BEGINNING) + 1 :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return UPRIGHT
    try:
        found = _first_ifd(block, order)
    except struct.error:  # the block ends too soon
        return UPRIGHT
    return found if found in range(1, 9) else UPRIGHT


def _first_ifd(block: bytes, order: str) -> int:
    (at,) = struct.unpack_from(f"{order}I", block, 4)
    (fields,) = struct.unpack_from(f"{order}H", block, at)
    for number in range(min(fields, MAX_FIELDS)):
        field = at + 2 + number * _FIELD
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, field)
        if tag == ORIENTATION and kind in _INTEGERS and count == 1:
            return int(struct.unpack_from(order + _INTEGERS[kind], block, field + 8)[0])
    return UPRIGHT

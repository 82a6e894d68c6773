"""ICC profiles for the tests, made here from the numbers of each colour space, or by LittleCMS's own numbers."""

import struct
from collections.abc import Sequence

import numpy as np
from PIL import ImageCms

from stageline.imaging import icc

ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO = ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105))
D50_XY = (0.345704, 0.358540)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def rgb(primaries: Sequence[Sequence[float]], white: Sequence[float], gamma: float) -> bytes:
    """A profile of an RGB space with one gamma."""
    made = icc._profile(primaries, white, (gamma,), is_grey=False)
    assert made is not None
    return made


def grey(gamma: float) -> bytes:
    """A profile for grey."""
    made = icc._profile(icc.BT709, icc.D65_XY, (gamma,), is_grey=True)
    assert made is not None
    return made


DISPLAY_P3 = icc.of_code_points(b"\x0c\x0d\0\1", is_grey=False) or b""
ADOBE = rgb(ADOBE_RGB, icc.D65_XY, 563 / 256)
PRO_PHOTO = rgb(PROPHOTO, D50_XY, 1.8)


def cmyk(darkness: float = 0.8) -> bytes:
    """A profile for CMYK: a table (lut8, ICC.1:2010, 10.9) of two steps a channel; ink is dark, not wholly black."""
    lut = struct.pack(">4sIBBBB", b"mft1", 0, 4, 3, 2, 0)
    lut += b"".join(struct.pack(">i", 65_536 * (row == column)) for row in range(3) for column in range(3))
    lut += bytes(range(256)) * 4
    for inks in np.ndindex(2, 2, 2, 2):
        ink = max(inks[3], sum(inks[:3]) / 3)
        lut += bytes([round(255 * (1 - darkness * ink)), 128, 128])  # Lab: neutral, lighter or darker
    lut += bytes(range(256)) * 3
    lut += bytes(-len(lut) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65_536 * number) for number in icc.D50))
    begin = 128 + 4 + 12 * 2
    table = struct.pack(">I", 2) + b"A2B0" + struct.pack(">II", begin, len(lut))
    table += b"wtpt" + struct.pack(">II", begin + len(lut), len(white))
    size = begin + len(lut) + len(white)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ") + bytes(12) + b"acsp"
    head += bytes(28) + struct.pack(">3i", *(round(65_536 * number) for number in icc.D50))
    return head.ljust(128, b"\0") + table + lut + white

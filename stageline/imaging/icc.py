"""Makes ICC profiles of the numbers in PNG's colour chunks. ICC.1:2022 has the layout."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
D50 = np.array([0.9642, 1.0, 0.8249])  # the white of every profile
D65_XY = (0.3127, 0.3290)
BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_GAMMA = 45_455  # of PNG: 1/2.2, times 100,000
TOLERANCE = 0.05  # of a gamma without primaries; nearer to sRGB's counts as sRGB, as in libpng
MAX_GAMMA = 32_767.0  # the largest number of the format
_PRIMARIES = {1: BT709, 9: BT2020, 12: P3}  # by ITU-T H.273's code points
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1
# 2.4 is television as displayed (ITU-R BT.1886). PQ and HLG, which go beyond white, are not supported.
_CURVES: Mapping[int, Sequence[float]] = {
    1: (2.4,), 4: (2.2,), 5: (2.8,), 6: (2.4,), 8: (1.0,), 13: _SRGB_CURVE, 14: (2.4,), 15: (2.4,),
}  # fmt: skip


def of_gamma(gama: bytes, chrm: bytes, *, is_grey: bool) -> bytes | None:
    """Make a profile of PNG's gAMA and cHRM; None if they are invalid, or the colours are sRGB's.

    Args:
        gama: content of gAMA, one number of 32 bits.
        chrm: content of cHRM, eight numbers: x and y of white, red, green and blue; may be empty.
        is_grey: whether the picture has one channel.
    """
    if len(gama) != 4 or not any(gama):  # noqa: PLR2004 - bytes
        return None
    gamma = int.from_bytes(gama, "big")
    curve = (min(MAX_GAMMA, max(1 / MAX_GAMMA, 100_000 / gamma)),)
    if len(chrm) != 32 or is_grey:  # noqa: PLR2004 - bytes
        return None if abs(gamma / SRGB_GAMMA - 1) < TOLERANCE else _profile(BT709, D65_XY, curve, is_grey=is_grey)
    numbers = [number / 100_000 for number in struct.unpack(">8I", chrm)]
    white, *primaries = zip(numbers[::2], numbers[1::2], strict=True)
    return _profile(primaries, white, curve, is_grey=False)


def of_code_points(cicp: bytes, *, is_grey: bool) -> bytes | None:
    """Make a profile of PNG's cICP: primaries, transfer, matrix and range; None if one of them is not supported."""
    if len(cicp) != 4 or cicp[2:] != b"\0\1" or cicp[0] not in _PRIMARIES or cicp[1] not in _CURVES:  # noqa: PLR2004
        return None
    return _profile(_PRIMARIES[cicp[0]], D65_XY, _CURVES[cicp[1]], is_grey=is_grey)


def _profile(
    primaries: Sequence[Sequence[float]], white: Sequence[float], curve: Sequence[float], *, is_grey: bool
) -> bytes | None:
    tone = b"para" + bytes(4) + struct.pack(">HH", 3 if len(curve) > 1 else 0, 0) + b"".join(map(_fixed, curve))
    tags = {b"wtpt": _xyz(D50)}
    if is_grey:
        tags[b"kTRC"] = tone
    else:
        columns = _columns(primaries, white)
        if columns is None:
            return None
        for name, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
            tags |= {name + b"XYZ": _xyz(column), name + b"TRC": tone}
    table, body = b"", b""
    begin = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", begin + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    space = b"GRAY" if is_grey else b"RGB "
    head = struct.pack(">I4sI4s4s4s", begin + len(body), bytes(4), 0x04300000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, D50))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _columns(primaries: Sequence[Sequence[float]], white: Sequence[float]) -> Floats | None:
    """Return the XYZ of red, green and blue as columns, under the white of profiles; None if they form no triangle."""
    try:
        with np.errstate(divide="raise", invalid="raise"):
            rgb = np.stack([_of_xy(each) for each in primaries], axis=1)
            source = _of_xy(white)
            adapt = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ source)) @ BRADFORD
            columns = adapt @ (rgb * np.linalg.solve(rgb, source))
    except (np.linalg.LinAlgError, FloatingPointError):
        return None
    return columns if np.isfinite(columns).all() and np.abs(columns).max() < MAX_GAMMA else None


def _of_xy(xy: Sequence[float]) -> Floats:
    x, y = np.float64(xy[0]), np.float64(xy[1])
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _xyz(numbers: Floats) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, numbers))


def _fixed(number: float) -> bytes:
    """Return a number as ICC's s15Fixed16."""
    return struct.pack(">i", round(float(number) * 65_536))

"""A picture of one colour, as the tests of colours write and read it."""

import zlib

from PIL import Image

from stageline.imaging import codec
from tests.support.picture_makers import MAX_PIXELS, png_chunk

COLOUR = (200, 60, 40)


def plain(colours: tuple[int, int, int] = COLOUR, mode: str = "RGB") -> Image.Image:
    """A picture of one colour."""
    image = Image.new("RGB", (16, 12), colours)
    return image.quantize(2) if mode == "P" else image.convert(mode)


def iccp(profile: bytes) -> bytes:
    """The chunk that holds a profile."""
    return png_chunk(b"iCCP", b"a profile\0\0" + zlib.compress(profile))


def shown(data: bytes) -> list[int]:
    """The colour, as RGB, that is decoded in the middle."""
    pixels, _ = codec.decode(data, MAX_PIXELS)
    return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2, ::-1].tolist()

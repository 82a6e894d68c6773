"""Colours: whatever a file says they are, they become those that a browser shows."""

import base64
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from stageline.imaging import codec, colour
from tests.support.browser import Browser, chromium
from tests.support.colour_cases import COLOUR, iccp, plain, shown
from tests.support.picture_makers import MAX_PIXELS, encoded, noise, png, png_chunk, with_chunks
from tests.support.places import missing
from tests.support.profile_makers import ADOBE, DISPLAY_P3, PRO_PHOTO, SRGB, cmyk, grey

DARK = (12, 30, 5)
READ = """
const [source, done] = arguments, image = new Image();
image.src = source;
image.decode().then(() => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, 8, 8);
  context.drawImage(image, 0, 0, 8, 8);
  done([...context.getImageData(4, 4, 1, 1).data.slice(0, 3)]);
}).catch((error) => done(String(error)));
"""
CHRM_P3 = png_chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
CHRM_709 = png_chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
DEEP = b"\x12\x34\x56\x78\x9a\xbc"  # three samples of 16 bits
SRGB_CHUNK = png_chunk(b"sRGB", b"\0")


def gama(number: int) -> bytes:
    """The chunk that says the gamma, times 100,000."""
    return png_chunk(b"gAMA", struct.pack(">I", number))


def cicp(primaries: int, transfer: int) -> bytes:
    """The chunk that names the colours by code points."""
    return png_chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def file(*chunks: bytes, colours: tuple[int, int, int] = COLOUR, mode: str = "RGB") -> bytes:
    """A PNG of one colour with these chunks."""
    return with_chunks(encoded(plain(colours, mode), "PNG"), *chunks)


CASES = {
    "no word": file(),
    "gAMA near sRGB's": file(gama(47_000), colours=DARK),
    "gAMA beyond": file(gama(47_800), colours=DARK),
    "gAMA linear": file(gama(100_000)),
    "gAMA 0": file(gama(0)),
    "gAMA tiny": file(gama(1)),
    "gAMA huge": file(gama(2**32 - 1)),
    "gAMA with cHRM": file(gama(45_455), CHRM_P3),
    "gAMA with sRGB's cHRM": file(gama(45_455), CHRM_709, colours=DARK),
    "cHRM before gAMA": file(CHRM_P3, gama(100_000)),
    "cHRM alone": file(CHRM_P3),
    "cHRM of nothing": file(png_chunk(b"cHRM", bytes(32)), gama(100_000)),
    "sRGB over gAMA": file(SRGB_CHUNK, gama(100_000), CHRM_P3),
    "iCCP": file(iccp(DISPLAY_P3)),
    "iCCP over sRGB": file(SRGB_CHUNK, iccp(DISPLAY_P3)),
    "iCCP over gAMA": file(iccp(DISPLAY_P3), gama(100_000)),
    "bad iCCP, then gAMA": file(iccp(b"junk" * 50), gama(100_000)),
    "cICP P3": file(cicp(12, 13)),
    "cICP over iCCP": file(cicp(1, 13), iccp(DISPLAY_P3)),
    "cICP of television": file(cicp(1, 1), colours=DARK),
    "gAMA behind the pixels": file()[:-12] + gama(100_000) + file()[-12:],
    "gAMA with a wrong checksum": file(gama(100_000)[:-1] + b"x"),
    "grey with gAMA": file(gama(100_000), mode="L"),
    "grey with a profile of RGB": file(iccp(DISPLAY_P3), mode="L"),
    "palette with gAMA": file(gama(55_000), mode="P"),
    "alpha with gAMA": file(gama(100_000), mode="RGBA"),
    "Adobe RGB, JPEG": encoded(plain(), "JPEG", quality=95, subsampling=0, icc_profile=ADOBE),
    "ProPhoto, JPEG": encoded(plain((120, 90, 60)), "JPEG", quality=95, subsampling=0, icc_profile=PRO_PHOTO),
    "Display P3, WebP": encoded(plain(), "WEBP", lossless=True, icc_profile=DISPLAY_P3),
    "grey with a profile of RGB, JPEG": encoded(plain(mode="L"), "JPEG", icc_profile=DISPLAY_P3),
    "grey of its own, JPEG": encoded(plain(mode="L"), "JPEG", icc_profile=grey(1.0)),
    "grey with the profile of its colours, JPEG": encoded(plain((100, 100, 100), "L"), "JPEG", icc_profile=PRO_PHOTO),
    "grey with the profile of its colours, PNG": file(iccp(PRO_PHOTO), colours=(100, 100, 100), mode="LA"),
    "16-bit grey with alpha": png(1, 1, 16, 4, b"\0\x64\0\xff\xff", iccp(grey(1.0))),
    "16-bit grey with alpha and gAMA": png(1, 1, 16, 4, b"\0\x64\0\xff\xff", gama(100_000)),
    "sRGB of no intent": file(png_chunk(b"sRGB", b"\x09"), gama(100_000)),
    "CMYK of its own, JPEG": encoded(Image.new("CMYK", (32, 32), (0, 0, 0, 128)), "JPEG", icc_profile=cmyk()),
    "1-bit grey, transparent": png(1, 1, 1, 0, b"\0\x80", png_chunk(b"tRNS", b"\0\1")),
    "2-bit grey, transparent": png(1, 1, 2, 0, b"\0\x80", png_chunk(b"tRNS", b"\0\2")),
    "2-bit grey, another transparent": png(1, 1, 2, 0, b"\0\x80", png_chunk(b"tRNS", b"\0\1")),
    "2-bit grey, transparent beyond its bits": png(1, 1, 2, 0, b"\0\x80", png_chunk(b"tRNS", b"\xff\xfe")),
    "4-bit grey, transparent": png(1, 1, 4, 0, b"\0\x50", png_chunk(b"tRNS", b"\0\5")),
    "16-bit RGB, transparent": png(1, 1, 16, 2, b"\0" + DEEP, png_chunk(b"tRNS", DEEP)),
    "16-bit RGB, one bit beside": png(1, 1, 16, 2, b"\0" + DEEP, png_chunk(b"tRNS", DEEP[:-1] + b"\xbd")),
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium, where this machine has one."""
    try:
        with chromium("about:blank") as found:
            yield found
    except FileNotFoundError as error:
        missing(str(error))


@pytest.mark.parametrize("name", CASES)
def test_colours_are_those_of_a_browser(name: str, browser: Browser) -> None:
    """What PNG says in chunks, profiles in each format, and transparency are decoded to what Chromium shows."""
    data = CASES[name]
    source = "data:image/*;base64," + base64.b64encode(data).decode()
    there = browser.driver.execute_async_script(READ, source)
    assert np.abs(np.subtract(shown(data), there)).max() <= 3, (shown(data), there)


def test_srgb_is_left_alone() -> None:
    """A picture with a profile of sRGB is not converted: byte for byte what it is without."""
    data, same = encoded(noise(), "PNG"), encoded(noise(), "PNG", icc_profile=SRGB)
    assert colour.to_srgb([SRGB], "RGB") is None
    assert (codec.decode(data, MAX_PIXELS)[0] == codec.decode(same, MAX_PIXELS)[0]).all()

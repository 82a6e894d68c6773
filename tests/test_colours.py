"""Colours: whatever a file says they are, they become those that a browser shows."""

import base64
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from picture_makers import MOST, encoded, noise, png, png_chunk, with_chunks, with_segments
from PIL import Image
from profile_makers import ADOBE, DISPLAY_P3, PRO_PHOTO, SRGB, cmyk, grey

from stageline.imaging import codec, colour
from tests.browser import Browser, chromium
from tests.conftest import missing

COLOUR = (200, 60, 40)
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


def plain(colours: tuple[int, int, int] = COLOUR, mode: str = "RGB") -> Image.Image:
    """A picture of one colour."""
    image = Image.new("RGB", (16, 12), colours)
    return image.quantize(2) if mode == "P" else image.convert(mode)


def gama(number: int) -> bytes:
    """The chunk that says the gamma, times 100,000."""
    return png_chunk(b"gAMA", struct.pack(">I", number))


def iccp(profile: bytes) -> bytes:
    """The chunk that holds a profile."""
    return png_chunk(b"iCCP", b"a profile\0\0" + zlib.compress(profile))


def cicp(primaries: int, transfer: int) -> bytes:
    """The chunk that names the colours by code points."""
    return png_chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def file(*chunks: bytes, colours: tuple[int, int, int] = COLOUR, mode: str = "RGB") -> bytes:
    """A PNG of one colour with these chunks."""
    return with_chunks(encoded(plain(colours, mode), "PNG"), *chunks)


def shown(data: bytes) -> list[int]:
    """The colour, as RGB, that is decoded in the middle."""
    pixels, _ = codec.decode(data, MOST)
    return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2, ::-1].tolist()


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


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("profile", [DISPLAY_P3, ADOBE, PRO_PHOTO], ids=["Display P3", "Adobe RGB", "ProPhoto"])
def test_one_picture_in_any_colours_is_one_picture(form: str, profile: bytes) -> None:
    """A photograph that was converted to a wider space, with its profile, is decoded to what it was in sRGB."""
    ramp = np.stack(np.meshgrid(np.arange(30, 230, 4), np.arange(40, 220, 4)), axis=-1)
    image = Image.fromarray(np.dstack([ramp, np.full(ramp.shape[:2], 100)]).astype(np.uint8))
    wide = colour.ImageCms.profileToProfile(
        image, colour.io.BytesIO(SRGB), colour.io.BytesIO(profile), outputMode="RGB", renderingIntent=1
    )
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    data = encoded(wide, form, icc_profile=profile, **options)
    pixels, _ = codec.decode(data, MOST)
    off = np.abs(pixels[:, :, ::-1].astype(int) - np.asarray(image))
    assert off.mean() <= 1
    assert np.abs(np.asarray(wide).astype(int) - np.asarray(image)).mean() > 5  # else the test could not fail


def test_a_reduced_decode_is_converted_too() -> None:
    """Where a JPEG is shrunk inside its decoder, the colours are the same."""
    data = encoded(Image.new("RGB", (800, 600), COLOUR), "JPEG", quality=95, icc_profile=DISPLAY_P3)
    pixels, _ = codec.decode(data, MOST, at_least=100)
    assert pixels.shape[1] == 100
    assert np.abs(pixels[30, 50, ::-1].astype(int) - shown(data)).max() <= 1
    assert np.abs(pixels[30, 50, ::-1].astype(int) - COLOUR).max() > 10


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_of_another_gamma(mode: str) -> None:
    """A profile for grey changes the brightness, of 8 and 16 bits and beside alpha, and leaves grey grey."""
    image = plain((100, 100, 100), "L")
    if mode == "I;16":
        image = Image.fromarray(np.full((12, 16), 100 << 8, np.uint16))
    image = image.convert("LA") if mode == "LA" else image
    red, green, blue = shown(encoded(image, "PNG", icc_profile=grey(1.0)))
    assert red == green == blue
    assert red == pytest.approx(168, abs=1)  # what is linear, in sRGB


def test_a_grey_jpeg_with_a_profile() -> None:
    """The same for a JPEG, decoded whole and shrunk."""
    data = encoded(Image.new("L", (640, 480), 100), "JPEG", quality=95, icc_profile=grey(1.0))
    for at_least in (None, 80):
        pixels, _ = codec.decode(data, MOST, at_least=at_least)
        assert np.abs(pixels.astype(int) - 168).max() <= 1


def test_cmyk_by_its_profile() -> None:
    """Ink is what the profile says it is: with none the paper is white, and black ink is the grey of a fifth."""
    profile = cmyk()
    for ink, lightness in ((0, 255), (255, 48)):  # L* of 20 is 48 in sRGB
        data = encoded(Image.new("CMYK", (32, 32), (0, 0, 0, ink)), "JPEG", quality=95, icc_profile=profile)
        assert np.abs(np.subtract(shown(data), lightness)).max() <= 3
    assert shown(encoded(Image.new("CMYK", (32, 32), (0, 0, 0, 255)), "JPEG", quality=95)) == [0, 0, 0]


@pytest.mark.parametrize(
    "profile",
    [
        b"", b"x", bytes(128), b"junk" * 1000, DISPLAY_P3[:100], DISPLAY_P3[:-40],
        DISPLAY_P3[:128] + b"\xff" * 4 + DISPLAY_P3[132:], b"\xff" * 200, DISPLAY_P3 + bytes(5_000_000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_damaged_or_huge_profile_is_ignored(form: str, profile: bytes) -> None:
    """It refuses no picture, and changes no colour."""
    options = {"WEBP": {"lossless": True}}.get(form, {})
    made = encoded(plain(), form, **options)
    if form == "PNG":
        made = with_chunks(made, iccp(profile))
    elif form == "WEBP":
        made = encoded(plain(), form, icc_profile=profile or b"\0", **options)
    else:
        pieces = [profile[at : at + 60_000] for at in range(0, len(profile), 60_000)] or [b""]
        numbered = [(0xE2, b"ICC_PROFILE\0" + bytes([number % 256, len(pieces) % 256]) + piece)
            for number, piece in enumerate(pieces, 1)]  # fmt: skip
        made = with_segments(made, *numbered)
    assert codec.check(made, MOST).width == 16
    assert np.abs(np.subtract(shown(made), COLOUR)).max() <= 2


def test_a_profile_in_pieces_that_miss_one_is_ignored() -> None:
    """A JPEG's profile of several segments counts when all are there, in whatever order they come."""
    half = len(DISPLAY_P3) // 2
    pieces = [(0xE2, b"ICC_PROFILE\0\1\2" + DISPLAY_P3[:half]), (0xE2, b"ICC_PROFILE\0\2\2" + DISPLAY_P3[half:])]
    made = encoded(plain(), "JPEG", quality=95, subsampling=0)
    whole = shown(encoded(plain(), "JPEG", quality=95, subsampling=0, icc_profile=DISPLAY_P3))
    assert shown(with_segments(made, *pieces)) == shown(with_segments(made, *reversed(pieces))) == whole
    assert shown(with_segments(made, pieces[0])) == shown(made) != whole


def test_srgb_is_left_alone() -> None:
    """A picture with a profile of sRGB is not converted: byte for byte what it is without."""
    data, same = encoded(noise(), "PNG"), encoded(noise(), "PNG", icc_profile=SRGB)
    assert colour.to_srgb([SRGB], "RGB") is None
    assert (codec.decode(data, MOST)[0] == codec.decode(same, MOST)[0]).all()

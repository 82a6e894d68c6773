"""Colours: whatever a file says they are, they become those that a browser shows."""

import numpy as np
import pytest
from PIL import Image

from stageline.imaging import codec, colour
from tests.support.colour_cases import COLOUR, iccp, plain, shown
from tests.support.picture_makers import MAX_PIXELS, encoded, with_chunks, with_segments
from tests.support.profile_makers import ADOBE, DISPLAY_P3, PRO_PHOTO, SRGB, cmyk, grey


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
    pixels, _ = codec.decode(data, MAX_PIXELS)
    off = np.abs(pixels[:, :, ::-1].astype(int) - np.asarray(image))
    assert off.mean() <= 1
    assert np.abs(np.asarray(wide).astype(int) - np.asarray(image)).mean() > 5  # else the test could not fail


def test_a_reduced_decode_is_converted_too() -> None:
    """Where a JPEG is shrunk inside its decoder, the colours are the same."""
    data = encoded(Image.new("RGB", (800, 600), COLOUR), "JPEG", quality=95, icc_profile=DISPLAY_P3)
    pixels, _ = codec.decode(data, MAX_PIXELS, at_least=100)
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
        pixels, _ = codec.decode(data, MAX_PIXELS, at_least=at_least)
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
    assert codec.check(made, MAX_PIXELS).width == 16
    assert np.abs(np.subtract(shown(made), COLOUR)).max() <= 2


def test_a_profile_in_pieces_that_miss_one_is_ignored() -> None:
    """A JPEG's profile of several segments counts when all are there, in whatever order they come."""
    half = len(DISPLAY_P3) // 2
    pieces = [(0xE2, b"ICC_PROFILE\0\1\2" + DISPLAY_P3[:half]), (0xE2, b"ICC_PROFILE\0\2\2" + DISPLAY_P3[half:])]
    made = encoded(plain(), "JPEG", quality=95, subsampling=0)
    whole = shown(encoded(plain(), "JPEG", quality=95, subsampling=0, icc_profile=DISPLAY_P3))
    assert shown(with_segments(made, *pieces)) == shown(with_segments(made, *reversed(pieces))) == whole
    assert shown(with_segments(made, pieces[0])) == shown(made) != whole

"""stageline.imaging.codec on good pictures: each kind is decoded to what a person would see."""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
import pytest
from PIL import Image

from stageline.imaging import codec
from stageline.imaging.budget import Budget
from tests.support.picture_makers import (
    MAX_PIXELS,
    all_kinds,
    animation,
    bgr,
    encoded,
    noise,
    png,
    png_chunk,
    scene,
    with_orientation,
)  # fmt: skip

KINDS = all_kinds()


def difference(one: codec.Pixels, other: codec.Pixels) -> int:
    """The largest between two pictures of one size."""
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def stored_for(orientation: int, upright: Image.Image) -> Image.Image:
    """The rows as a camera stores them when EXIF is to name this orientation: the inverse of how it is undone."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # Pillow turns anticlockwise
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return upright.transpose(undo[orientation]) if orientation in undo else upright


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("form", "options", "tolerance"),
    [("JPEG", {"quality": 95, "subsampling": 0}, 24), ("PNG", {}, 0), ("WEBP", {"lossless": True}, 0)],
)
def test_every_orientation_is_decoded_upright(form: str, options: dict, tolerance: int, orientation: int) -> None:
    """All eight EXIF orientations give the same upright pixels, and the sizes in ImageInfo agree with them."""
    upright = scene()
    data = with_orientation(stored_for(orientation, upright), orientation, form, **options)
    pixels, info = codec.decode(data, MAX_PIXELS)
    assert difference(pixels, bgr(upright)) <= tolerance
    assert (info.width, info.height) == (64, 48) == (pixels.shape[1], pixels.shape[0])
    assert codec.probe(data, MAX_PIXELS) == info == codec.check(data, MAX_PIXELS)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    """A value beyond 1..8 is ignored."""
    pixels, _ = codec.decode(with_orientation(scene(), orientation, "PNG"), MAX_PIXELS)
    assert difference(pixels, bgr(scene())) == 0


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    """The eXIf chunk may stand after IDAT, and probe finds it there without decoding pixels."""
    data = with_orientation(scene(), 6, "PNG")
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    pixels, info = codec.decode(moved, MAX_PIXELS)
    assert (info.orientation, info.width, info.height) == (6, 48, 64)
    assert pixels.shape == (64, 48, 3)
    assert difference(pixels, codec.decode(data, MAX_PIXELS)[0]) == 0
    at = moved.index(b"IDAT") + 4
    assert codec.probe(moved[:at] + bytes(100) + moved[at + 100 :], MAX_PIXELS) == info


def test_cmyk_keeps_its_colours() -> None:
    """A CMYK JPEG, whose values Adobe stores inverted, is not decoded as a negative."""
    data = encoded(scene().convert("CMYK"), "JPEG", quality=95, subsampling=0)
    pixels, info = codec.decode(data, MAX_PIXELS)
    assert not info.plain_jpeg
    assert difference(pixels, bgr(scene())) <= 24


@pytest.mark.parametrize("kind", ["16-bit grey", "16-bit grey with a transparent grey", "16-bit RGB", "16-bit RGBA"])
def test_16_bits_become_the_upper_8(kind: str) -> None:
    """16-bit PNGs keep their brightness: the top byte of each sample, and what is transparent is white."""
    values = np.array([[0x0000, 0x12FF, 0x80AA], [0xFE01, 0xFFFF, 0x4000]], dtype=np.uint16)
    colour, channels = {"16-bit RGB": (2, 3), "16-bit RGBA": (6, 4)}.get(kind, (0, 1))
    samples = np.repeat(values[:, :, None], channels, axis=2)
    if channels == 4:
        samples[:, :, 3] = 0xFFFF
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    more = [png_chunk(b"tRNS", b"\x12\xff")] if "transparent" in kind else []
    pixels, _ = codec.decode(png(3, 2, 16, colour, rows, *more), MAX_PIXELS)
    expected = (values >> 8).astype(np.uint8)
    if more:
        expected[0, 1] = 255
    assert difference(pixels, np.repeat(expected[:, :, None], 3, axis=2)) <= 1


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})])
@pytest.mark.parametrize("alpha", [0, 1, 64, 128, 254, 255])
def test_alpha_shows_white(form: str, options: dict, alpha: int) -> None:
    """Transparency is laid on white, in proportion."""
    image = scene()
    image.putalpha(alpha)
    pixels, _ = codec.decode(encoded(image, form, **options), MAX_PIXELS)
    expected = bgr(scene()).astype(float) * alpha / 255 + 255 - alpha
    assert difference(pixels, np.rint(expected).astype(np.uint8)) <= 1


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(form: str) -> None:
    """A palette's transparent colour shows white, and the other colours stay."""
    image = Image.new("P", (20, 10), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (10, 0, 20, 10))
    pixels, _ = codec.decode(encoded(image, form, transparency=0), MAX_PIXELS)
    assert pixels[5, 5].tolist() == [255, 255, 255]
    assert pixels[5, 15].tolist() == [255, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_is_decoded(mode: str) -> None:
    """Whatever way a PNG stores black and white, they are black and white."""
    image = Image.new("L", (16, 8), 0)
    image.paste(255, (8, 0, 16, 8))
    pixels, _ = codec.decode(encoded(image.convert(mode), "PNG"), MAX_PIXELS)
    assert difference(pixels, bgr(image)) == 0


@pytest.mark.parametrize(("form", "tolerance"), [("GIF", 0), ("WEBP", 0), ("PNG", 0)])
def test_an_animation_shows_its_first_frame(form: str, tolerance: int) -> None:
    """GIF, WebP and APNG animations are their first frame."""
    pixels, info = codec.decode(animation(form), MAX_PIXELS)
    assert info.format == form
    assert difference(pixels, bgr(scene())) <= tolerance


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_one_pixel_is_a_picture(form: str) -> None:
    """1 × 1 goes through, in every format, and can be encoded again."""
    data = encoded(Image.new("RGB", (1, 1), "white"), form)
    info = codec.check(data, MAX_PIXELS)
    pixels, _ = codec.decode(data, MAX_PIXELS, at_least=416)
    assert (info.width, info.height, pixels.shape) == (1, 1, (1, 1, 3))
    assert pixels.min() >= 254
    assert codec.probe(codec.encode_jpeg(pixels, 95), MAX_PIXELS).format == "JPEG"


def test_a_jpeg_with_more_pictures_behind_is_its_first() -> None:
    """An MPO, as some cameras write it, is a JPEG."""
    data = encoded(scene(), "MPO", save_all=True, append_images=[noise()], quality=95, subsampling=0)
    pixels, info = codec.decode(data, MAX_PIXELS)
    assert (info.extension, info.content_type) == ("jpg", "image/jpeg")
    assert difference(pixels, bgr(scene())) <= 24
    assert codec.check(data, MAX_PIXELS) == info


@pytest.mark.parametrize("size", [(6400, 480), (641, 480), (640, 479), (63, 47), (416, 416), (832, 10), (8, 3331)])
@pytest.mark.parametrize("at_least", [1, 100, 416])
def test_a_reduced_decode_keeps_the_long_side(size: tuple[int, int], at_least: int) -> None:
    """Shrinking inside the decoder never goes below what was asked for, nor alters what ImageInfo says."""
    data = with_orientation(Image.new("RGB", size, "red"), 6, "JPEG")
    pixels, info = codec.decode(data, MAX_PIXELS, at_least=at_least)
    assert max(pixels.shape) >= min(at_least, max(size))
    assert (info.width, info.height) == (size[1], size[0])
    assert pixels.shape[0] / pixels.shape[1] == pytest.approx(size[0] / size[1], rel=0.5)


@pytest.mark.parametrize("name", KINDS)
def test_check_probe_and_decode_agree(name: str) -> None:
    """The three say the same of each kind of picture, and it can be written as JPEG."""
    pixels, info = codec.decode(KINDS[name], MAX_PIXELS)
    assert codec.check(KINDS[name], MAX_PIXELS) == info == codec.probe(KINDS[name], MAX_PIXELS)
    assert pixels.shape == (info.height, info.width, 3)
    assert pixels.dtype == np.uint8
    assert info.content_type.startswith("image/")
    assert codec.probe(codec.encode_jpeg(pixels, 90), MAX_PIXELS).width == info.width


def test_probe_reads_no_pixels() -> None:
    """A header is enough for probe: the pixels may be missing, in every format, also where EXIF could follow them."""
    for name, data in KINDS.items():
        if "webp" not in name:  # libwebp wants the whole file
            assert codec.probe(data[: len(data) // 2], MAX_PIXELS).width > 0


def test_fit_and_shrink() -> None:
    """A size keeps its shape, is never enlarged and never 0."""
    assert codec.fit(4000, 3000, 1280) == (1280, 960)
    assert codec.fit(100, 50, 1280) == (100, 50)
    assert codec.fit(10_000, 1, 100) == (100, 1)
    assert codec.fit(1, 10_000, 100) == (1, 100)
    pixels = bgr(noise())
    assert codec.shrink(pixels, 64, 48) is pixels
    assert codec.shrink(pixels, 16, 12).shape == (12, 16, 3)


@pytest.mark.parametrize("factor", [3, 4, 5])
def test_what_is_shrunk_far_is_averaged(factor: int) -> None:
    """Fine stripes become even grey: a resize that leaves pixels out would show some white, the others black."""
    stripes = np.zeros((factor * 20, factor * 20, 3), np.uint8)
    stripes[:, ::factor] = 255
    small = codec.shrink(stripes, 20, 20)
    assert np.ptp(small) == 0
    assert small[0, 0, 0] == pytest.approx(255 / factor, abs=1)


def test_the_budget_is_never_overdrawn() -> None:
    """Threads that check pictures hold no more than the budget together; one that needs more than all runs alone."""
    budget, lock, held, most = Budget(100), Lock(), 0, 0

    def hold(cost: int) -> None:
        nonlocal held, most
        with budget.spend(cost):
            with lock:
                held += min(cost, 100)
                most = max(most, held)
            with lock:
                held -= min(cost, 100)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [30, 60, 1000, 1, 99] * 200))
    assert 0 < most <= 100
    assert held == 0

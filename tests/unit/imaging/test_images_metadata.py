"""What stands beside the pixels: EXIF alone turns a picture, and nothing of it refuses one."""

import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from stageline.core.errors import BadImage
from stageline.imaging import codec, exif
from tests.support.picture_makers import (
    MAX_PIXELS,
    bgr,
    encoded,
    exif_block,
    noise,
    png_chunk,
    raw_profile,
    scene,
    with_chunks,
    with_segments,
)
from tests.support.picture_makers import png as made_png

PREFIX = b"Exif\0\0"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
XMP_SEGMENT = (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)
LARGE = 3 * 1024 * 1024


def jpeg() -> bytes:
    """A scene of 64 × 48."""
    return encoded(scene(), "JPEG", quality=95, subsampling=0)


def png() -> bytes:
    """The same."""
    return encoded(scene(), "PNG")


def webp(**options: object) -> bytes:
    """The same."""
    return encoded(scene(), "WEBP", lossless=True, **options)


def text(kind: bytes, keyword: bytes, content: bytes) -> bytes:
    """A chunk of text."""
    return png_chunk(kind, keyword + (b"\0\0" + zlib.compress(content) if kind == b"zTXt" else b"\0" + content))


TURNED = {
    **{f"type {kind}": with_segments(jpeg(), (0xE1, PREFIX + exif_block(6, kind))) for kind in "BHIbhi"},
    "prefix twice": with_segments(jpeg(), (0xE1, PREFIX + PREFIX + exif_block(6))),
    "with another by XMP": with_segments(jpeg(), XMP_SEGMENT, (0xE1, PREFIX + exif_block(6))),
    "the first of two": with_segments(jpeg(), (0xE1, PREFIX + exif_block(6)), (0xE1, PREFIX + exif_block(3))),
    "PNG": with_chunks(png(), png_chunk(b"eXIf", exif_block(6))),
    "PNG, with a prefix": with_chunks(png(), png_chunk(b"eXIf", PREFIX + exif_block(6, "I"))),
    "PNG, raw": with_chunks(
        png(), text(b"tEXt", b"Raw profile type exif", raw_profile("exif", PREFIX + exif_block(6)))
    ),
    "PNG, raw and compressed": with_chunks(
        png(), text(b"zTXt", b"Raw profile type APP1", raw_profile("APP1", PREFIX + exif_block(6)))
    ),
    "WebP": webp(exif=exif_block(6)),
    "WebP, with a prefix": webp(exif=PREFIX + exif_block(6, "I")),
    "WebP, twice": webp(exif=PREFIX + PREFIX + exif_block(6)),
}
UPRIGHT = {
    "XMP alone": with_segments(jpeg(), XMP_SEGMENT),
    "XMP in PNG": with_chunks(png(), png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
    "XMP in WebP": webp(xmp=XMP),
    "two of them": with_segments(jpeg(), (0xE1, PREFIX + exif_block(6, count=2))),
    "no such orientation": with_segments(jpeg(), (0xE1, PREFIX + exif_block(9))),
    "negative": with_segments(jpeg(), (0xE1, PREFIX + exif_block(-6, "h"))),
    "a damaged first": with_segments(jpeg(), (0xE1, PREFIX + bytes(20)), (0xE1, PREFIX + exif_block(6))),
    "eXIf with a wrong checksum": with_chunks(png(), png_chunk(b"eXIf", exif_block(6))[:-1] + b"x"),
    "raw of no digits": with_chunks(png(), text(b"tEXt", b"Raw profile type exif", b"\nexif\n  9\nno digits\n")),
    "raw XMP": with_chunks(png(), text(b"tEXt", b"Raw profile type APP1", raw_profile("APP1", XMP_SEGMENT[1]))),
}


@pytest.mark.parametrize("name", TURNED)
def test_exif_turns_a_picture(name: str) -> None:
    """Tag 274 of the first IFD counts, in whatever integer type and wherever a format keeps EXIF."""
    pixels, info = codec.decode(TURNED[name], MAX_PIXELS)
    assert (info.orientation, info.width, info.height) == (6, 48, 64)
    assert np.abs(pixels.astype(int) - np.rot90(bgr(scene()), -1)).max() <= 24
    assert codec.check(TURNED[name], MAX_PIXELS) == codec.probe(TURNED[name], MAX_PIXELS) == info


@pytest.mark.parametrize("name", UPRIGHT)
def test_nothing_else_turns_a_picture(name: str) -> None:
    """XMP does not, nor what is damaged."""
    pixels, info = codec.decode(UPRIGHT[name], MAX_PIXELS)
    assert (info.orientation, info.width, info.height) == (1, 64, 48)
    assert np.abs(pixels.astype(int) - bgr(scene())).max() <= 24


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_among_other_tags(order: str) -> None:
    """Both byte orders, and fields around it; a block that ends before it, or points out of itself, says nothing."""
    field = lambda tag: struct.pack(f"{order}HHIHH", tag, 3, 1, 8, 0)  # noqa: E731
    fields = b"".join(map(field, [0x010F, 0x0110, 0x0112, 0x0131]))
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 4) + fields + bytes(4)
    assert exif.orientation(block) == exif.orientation(PREFIX + block) == 8
    for cut in range(8 + 2 + 24 + 10):
        assert exif.orientation(block[:cut]) == 1
    assert exif.orientation(block[:4] + struct.pack(f"{order}I", 2**31) + block[8:]) == 1
    assert exif.orientation(None) == exif.orientation(b"") == 1


def bomb(size: int = 64 * 1024 * 1024) -> bytes:
    """What inflates to so many zeros."""
    return zlib.compress(bytes(size), 9)


UNUSUAL = {
    "PNG, a text that inflates to 64 MB": with_chunks(png(), png_chunk(b"zTXt", b"Comment\0\0" + bomb())),
    "PNG, an international one": with_chunks(png(), png_chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb())),
    "PNG, a profile that inflates to 64 MB": with_chunks(png(), png_chunk(b"iCCP", b"x\0\0" + bomb())),
    "PNG, a raw profile that does": with_chunks(png(), png_chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb())),
    "PNG, texts of 3 MB": with_chunks(png(), png_chunk(b"tEXt", b"Comment\0" + b"x" * LARGE)),
    "PNG, many compressed texts": with_chunks(png(), *[png_chunk(b"zTXt", b"c\0\0" + bomb(2**20))] * 500),
    "PNG, a text that is no zlib": with_chunks(png(), png_chunk(b"zTXt", b"Comment\0\0junk")),
    "PNG, a profile of no name": with_chunks(png(), png_chunk(b"iCCP", b"")),
    **{
        f"PNG, {kind.decode()} with a wrong checksum": with_chunks(png(), png_chunk(kind, bytes(content))[:-1] + b"?")
        for kind, content in [(b"tEXt", 9), (b"zTXt", 9), (b"iCCP", 20), (b"gAMA", 4), (b"cHRM", 32), (b"pHYs", 9),
            (b"tIME", 7), (b"eXIf", 30), (b"sRGB", 1), (b"bKGD", 6), (b"tRNS", 6), (b"acTL", 8), (b"prVt", 5)]
    },
    **{
        f"PNG, {kind.decode()} of one byte": with_chunks(png(), png_chunk(kind, b"\0"))
        for kind in (b"gAMA", b"cHRM", b"pHYs", b"tIME", b"eXIf", b"bKGD", b"acTL", b"iCCP", b"zTXt", b"iTXt", b"cICP")
    },
    "JPEG, EXIF in 40 segments": with_segments(jpeg(), *[(0xE1, PREFIX + b"x" * 65_000)] * 40),
    "JPEG, XMP of 3 MB": with_segments(jpeg(), *[(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"x" * 65_000)] * 48),
    "JPEG, a thumbnail that is none": with_segments(jpeg(), (0xE0, b"JFXX\0\x10" + b"\xff\xd8\xff\xd9" * 900)),
    "JPEG, a thumbnail that is damaged": with_segments(jpeg(), (0xE1, PREFIX + exif_block(1) + jpeg()[:400])),
    "JPEG, pictures behind it that are not there": with_segments(jpeg(), (0xE2, b"MPF\0" + b"MM\0*" + b"\xff" * 60)),
    "JPEG, Photoshop's": with_segments(jpeg(), (0xED, b"Photoshop 3.0\08BIM" + b"\xff" * 300)),
    "JPEG, a comment in each": with_segments(jpeg(), *[(0xFE, b"\xff\xda\xff\xd9" * 10)] * 200),
    "JPEG, pieces of a profile": with_segments(jpeg(), (0xE2, b"ICC_PROFILE\0"), (0xE2, b"ICC_PROFILE\0\xff\xff")),
    "JPEG, a segment that is longer than it says": with_segments(jpeg(), (0xE1, PREFIX + bytes(12))).replace(
        PREFIX + bytes(12), PREFIX + bytes(12) + b"more"),
    "JPEG, a segment of no length": jpeg()[:20] + b"\xff\xec\0\0" + jpeg()[20:],
    "JPEG, a comment of length 1": jpeg()[:20] + b"\xff\xfe\0\1" + jpeg()[20:],
    "JPEG, EXIF behind the pixels": jpeg()[:-2] + with_segments(b"", (0xE1, PREFIX + exif_block(6))) + b"\xff\xd9",
    **{
        f"PNG, tRNS of {size} bytes": with_chunks(png(), png_chunk(b"tRNS", bytes([1]) * size))
        for size in (0, 1, 2, 5, 7, 300)
    },
    "PNG, two of tRNS": with_chunks(png(), png_chunk(b"tRNS", bytes([1]) * 6), png_chunk(b"tRNS", b"\0\xff\0\0\0\0")),
    "PNG, tRNS behind the pixels": png()[:-12] + png_chunk(b"tRNS", b"\0\xff\0\0\0\0") + png()[-12:],
    "PNG, no end": png()[:-12],
    "PNG, sRGB of no intent": with_chunks(png(), png_chunk(b"sRGB", b"\x09"), png_chunk(b"gAMA", b"\0\0\xb1\x8f")),
    "WebP, EXIF of 3 MB": webp(exif=PREFIX + b"x" * LARGE),
    "WebP, XMP of 3 MB": webp(xmp=b"x" * LARGE),
    "WebP, a profile of 5 MB": webp(icc_profile=b"x" * 5_000_000),
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSUAL)
def test_metadata_refuses_no_picture(name: str) -> None:
    """Whatever stands beside the pixels, or how much, a picture is taken, and decoded as without it."""
    data = UNUSUAL[name]
    pixels, info = codec.decode(data, MAX_PIXELS)
    assert (info.width, info.height, info.orientation) == (64, 48, 1)
    assert codec.check(data, MAX_PIXELS) == info
    assert np.abs(pixels.astype(int) - bgr(scene())).max() <= 24


def test_a_palette_may_have_too_many_transparent_entries() -> None:
    """Those that it has count."""
    image = scene().quantize(4)
    data = encoded(image, "PNG")
    at = data.index(b"IDAT") - 4
    odd = data[:at] + png_chunk(b"tRNS", bytes(300)) + data[at:]
    assert codec.check(odd, MAX_PIXELS).width == 64
    assert (codec.decode(odd, MAX_PIXELS)[0] == 255).all()


def deep(rows: int = 16, *, transparent: bytes = bytes(6)) -> bytes:
    """A PNG of 16 × 16 in three times 16 bits, with so many of its rows."""
    row = b"\0" + bytes(range(96))
    return made_png(16, 16, 16, 2, row * rows, png_chunk(b"tRNS", transparent))


def test_a_deep_picture_is_checked_by_what_decodes_it() -> None:
    """What the API takes of it, the stages decode; what a chunk claims beyond the file is not allotted."""
    data = deep()
    pixels, info = codec.decode(data, MAX_PIXELS)
    assert codec.check(data, MAX_PIXELS) == info
    at = data.index(b"IDAT") - 4
    for odd in (data[:-12], data[:at] + b"\x7f\xf0\0\0" + data[at + 4 :]):
        assert codec.check(odd, MAX_PIXELS) == info
        assert (codec.decode(odd, MAX_PIXELS)[0] == pixels).all()
    with pytest.raises(BadImage, match="cut off or damaged"):
        codec.check(deep(9), MAX_PIXELS)


def test_a_depth_of_no_bits_is_no_picture() -> None:
    """Whatever a header says, it is a BadImage."""
    with pytest.raises(BadImage):
        codec.check(made_png(1, 1, 0, 0, b"\0\0", png_chunk(b"tRNS", b"\0\0")), MAX_PIXELS)


def test_what_must_be_right_still_must() -> None:
    """A wrong checksum in the header or the palette of a PNG refuses it, with a sentence."""
    good = encoded(scene().quantize(4), "PNG")
    for kind in (b"IHDR", b"PLTE"):
        at = good.index(kind)
        end = at + 4 + int.from_bytes(good[at - 4 : at], "big")
        with pytest.raises(codec.BadImage):
            codec.check(good[:end] + b"????" + good[end + 4 :], MAX_PIXELS)


def test_no_library_sees_metadata() -> None:
    """What decoders get has no EXIF, no profile and no text in it, and is the same picture."""
    for data in (*TURNED.values(), *UPRIGHT.values(), *UNUSUAL.values()):
        essential = codec._take_apart(data).essential
        if not codec.webp.is_webp(data):
            assert not re.search(rb"Exif|eXIf|tEXt|zTXt|iTXt|ICC_PROFILE|iCCP|xap|Photoshop|MPF", essential)
            assert len(essential) < 10_000


def test_apng_and_large_pictures_keep_their_pixels() -> None:
    """Without its other frames an animation is its first; a PNG in many chunks is the same picture."""
    still = noise(300, 200)
    data = encoded(still, "PNG", save_all=True, append_images=[scene(300, 200)])
    assert b"fdAT" not in codec._take_apart(data).essential
    assert (codec.decode(data, MAX_PIXELS)[0] == bgr(still)).all()
    large = Image.effect_noise((2000, 1000), 50)
    assert encoded(large, "PNG").count(b"IDAT") > 10
    assert (codec.decode(encoded(large, "PNG"), MAX_PIXELS)[0][:, :, 0] == np.asarray(large)).all()

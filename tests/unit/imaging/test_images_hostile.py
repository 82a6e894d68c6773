"""Bad input to stageline.imaging.codec: a BadImage whose sentence says what is allowed, or the right result."""

import contextlib
import io
import random
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable

import pytest
from PIL import Image

from stageline.core.errors import BadImage
from stageline.imaging import codec
from tests.support.picture_makers import MAX_PIXELS, all_kinds, encoded, noise, png, scene

KINDS = all_kinds()
PAGE = b"<!doctype html><html><body><script>alert(1)</script></body></html>"
MUTANTS = 300  # of each kind of picture
CHEAP = 300 * 1024 * 1024  # bytes of address space beyond what the process has when the picture comes


def refused(data: bytes, status: int, *words: str, most: int = MAX_PIXELS) -> None:
    """Check, probe and decode all refuse, with this status and these words."""
    for look in (codec.check, codec.probe, codec.decode):
        with pytest.raises(BadImage) as error:
            look(data, most)
        assert error.value.status == status
        for word in words:
            assert word in str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        b"\0", b"hello", PAGE, b"GIF89a", b"BM", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7",
        b"RIFF\0\0\0\0WEBP", b"RIFF\x16\0\0\0WEBPVP8 " + bytes(20), bytes(1000), b"\xff" * 1000, b"\xff\xd8" * 1000,
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>', b"II*\0" + bytes(60),
        PAGE + KINDS["jpeg"], b"PK\3\4" + KINDS["png"], b"\n" + KINDS["jpeg"],
        encoded(scene(), "TIFF"), encoded(scene(), "PPM"), encoded(scene(), "ICO"), encoded(scene(), "JPEG2000"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    """Text, SVG, bare signatures, HTML with a JPEG inside, other formats: 415, with what is taken."""
    refused(data, 415, codec.ACCEPTED)


def test_nothing_is_refused() -> None:
    """An empty file has another error than a bad picture."""
    refused(b"", 400, "empty")


@pytest.mark.parametrize("name", KINDS)
def test_truncated_pictures_are_refused(name: str) -> None:
    """Cut anywhere, check refuses with 415 or 422, or all of the first frame is there; and decode agrees."""
    data = KINDS[name]
    whole, _ = codec.decode(data, MAX_PIXELS)
    for cut in [*range(1, len(data) - 1, len(data) // 40 + 1), len(data) - 1]:
        try:
            codec.check(data[:cut], MAX_PIXELS)
        except BadImage as error:
            assert error.status in (415, 422)  # noqa: PT017 - it may or may not be raised
            continue
        assert (codec.decode(data[:cut], MAX_PIXELS)[0] == whole).all()


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "cmyk jpeg", "png", "webp", "gif", "bmp", "16-bit png"])
def test_half_a_picture_is_refused(name: str) -> None:
    """A half is never taken for a whole, and the sentence says what is wrong."""
    data = KINDS[name]
    with pytest.raises(BadImage, match=r"cut off|damaged|cannot be decoded|not a picture"):
        codec.check(data[: len(data) // 2], MAX_PIXELS)


def a_zip() -> bytes:
    """An archive with a page in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.html", PAGE)
    return buffer.getvalue()


@pytest.mark.parametrize("behind", [PAGE, a_zip(), KINDS["png"], bytes(100_000)], ids=["page", "zip", "png", "zeros"])
@pytest.mark.parametrize("name", KINDS)
def test_what_stands_behind_a_picture_does_not_matter(name: str, behind: bytes) -> None:
    """A polyglot is the picture that it begins with, or it is refused; nothing of the rest is looked at."""
    with contextlib.suppress(BadImage):
        pixels, info = codec.decode(KINDS[name] + behind, MAX_PIXELS)
        assert (pixels == codec.decode(KINDS[name], MAX_PIXELS)[0]).all()
        assert info == codec.probe(KINDS[name], MAX_PIXELS)


def jpeg_of(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = encoded(noise(), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 4 :]


def webp_of(width: int, height: int) -> bytes:
    """A small lossy WebP whose header claims another size."""
    data = encoded(noise(), "WEBP")
    return data[:26] + width.to_bytes(2, "little") + height.to_bytes(2, "little") + data[30:]


def extended_webp_of(width: int, height: int) -> bytes:
    """A small WebP with alpha whose canvas claims another size."""
    data = KINDS["animated webp"]
    assert data[12:16] == b"VP8X"
    return data[:24] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + data[30:]


def gif_of(width: int, height: int) -> bytes:
    """A small GIF whose screen claims another size."""
    data = KINDS["gif"]
    return data[:6] + width.to_bytes(2, "little") + height.to_bytes(2, "little") + data[10:]


def bmp_of(width: int, height: int) -> bytes:
    """A small BMP whose header claims another size."""
    data = KINDS["bmp"]
    return data[:18] + width.to_bytes(4, "little") + height.to_bytes(4, "little") + data[26:]


def png_of(width: int, height: int) -> bytes:
    """A small PNG that is all there: black."""
    return png(width, height, 1, 0, bytes(height * (1 + (width + 7) // 8)))


BOMBS: list[tuple[str, Callable[[int, int], bytes], int, int]] = [
    ("jpeg", jpeg_of, 64_250, 64_250),
    ("png", png_of, 60_000, 60_000),
    ("webp", webp_of, 16_383, 16_383),
    ("extended webp", extended_webp_of, 60_000, 60_000),
    ("gif", gif_of, 65_500, 65_500),
    ("bmp", bmp_of, 2_000_000, 2_000_000),
    ("a narrow png", lambda w, h: png(w, h, 1, 0, b"x"), 1, 65_501),
    ("51 megapixels", png_of, 8_500, 6_000),
]


@pytest.mark.parametrize("name", [bomb[0] for bomb in BOMBS])
def test_a_bomb_is_refused_cheaply(name: str) -> None:
    """What claims too many pixels is refused with 413, its size and the limit, within little memory."""
    _, make, width, height = next(bomb for bomb in BOMBS if bomb[0] == name)
    data = make(width, height)
    refused(data, 413, f"{width} × {height}", f"{MAX_PIXELS:,} pixels")
    program = (
        "import resource, sys; from stageline.imaging import codec; from stageline.core.errors import BadImage\n"
        "has = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (has + {CHEAP},) * 2)\n"
        "data = sys.stdin.buffer.read()\n"
        "for look in (codec.check, codec.probe, codec.decode):\n"
        f"    try: look(data, {MAX_PIXELS})\n"
        "    except BadImage as error: print(error.status)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=False)
    assert done.stdout.split() == [b"413"] * 3, done.stderr.decode()[-500:]
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY  # ours was left alone


def test_the_limit_itself_is_allowed() -> None:
    """A picture of exactly MAX_IMAGE_PIXELS is taken, one more row is not."""
    assert codec.check(encoded(Image.new("RGB", (40, 25)), "PNG"), 1000).width == 40
    refused(encoded(Image.new("RGB", (40, 26)), "PNG"), 413, "1,040", most=1000)


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """A decoder passes over the whole picture for each scan: thousands of empty ones would hold a core for hours."""
    data = encoded(Image.new("L", (512, 512), 128), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    codec.check(data[:-2] + 20 * last + data[-2:], MAX_PIXELS)
    refused(data[:-2] + 200 * last + data[-2:], 422, "scans")
    assert codec.check(data + 200 * last, MAX_PIXELS).width == 512  # behind the end they are not looked at


@pytest.mark.parametrize(
    ("name", "at", "piece"),
    [("jpeg", 2, b"\xff\xe1\x00\x09Exif\0\0x"), ("png", 33, b"\0\0\0\0teSt\0\0\0\0")],
)
def test_a_picture_in_endless_pieces_is_refused(name: str, at: int, piece: bytes) -> None:
    """Hundreds of thousands of tiny segments or chunks would cost minutes in Pillow."""
    data = KINDS[name]
    refused(data[:at] + 200_000 * piece + data[at:], 422, "is in more than")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged EXIF
@pytest.mark.parametrize("name", KINDS)
def test_damaged_pictures_raise_nothing_else(name: str) -> None:
    """Whatever bytes are changed, a picture is taken or is a BadImage; what check takes, decode decodes."""
    chance = random.Random(name)
    for _ in range(MUTANTS):
        mutant = bytearray(KINDS[name])
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            mutant[chance.randrange(min(len(mutant), chance.choice((40, 200, len(mutant)))))] = chance.randrange(256)
        data = bytes(mutant)
        with contextlib.suppress(BadImage):
            codec.probe(data, MAX_PIXELS)
        try:
            info = codec.check(data, 1_000_000)
        except BadImage as error:
            assert str(error)  # noqa: PT017 - it may or may not be raised
            continue
        pixels, same = codec.decode(data, 1_000_000)
        assert same == info
        assert pixels.shape == (info.height, info.width, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_jpeg_with_a_lying_exif_is_a_picture() -> None:
    """A damaged EXIF block harms nothing: the picture is taken as it is stored."""
    data = KINDS["jpeg with exif"]
    at = data.index(b"Exif\0\0") + 6
    for junk in (b"\xff" * 26, bytes(26), b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"):
        pixels, info = codec.decode(data[:at] + junk + data[at + len(junk) :], MAX_PIXELS)
        assert pixels.shape == (info.height, info.width, 3)

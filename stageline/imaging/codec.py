"""Decoding and encoding of pictures, within limits: every byte string is hostile until it is decoded."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stageline.core.errors import BadImage
from stageline.imaging import colour, damage, exif, jpeg, png, to_bgr, webp
from stageline.imaging import orientation as turns
from stageline.imaging.budget import Budget
from stageline.imaging.parts import Parts

Pixels = colour.Pixels
Image.MAX_IMAGE_PIXELS = None  # our own limit is stricter, and its error says what is allowed
cv2.setNumThreads(1)  # a stage is scaled by its workers; more threads would compete for the cores
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our errors report what is wrong with a picture

# Pillow's name → the extension and the media type of stored pictures.
FORMATS = {
    "JPEG": ("jpg", "image/jpeg"),
    "PNG": ("png", "image/png"),
    "WEBP": ("webp", "image/webp"),
    "GIF": ("gif", "image/gif"),
    "BMP": ("bmp", "image/bmp"),
}
# File name endings of these formats.
ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp")
ACCEPTED = "JPEG, PNG, WebP, GIF or BMP"
MAX_SIDE = 65_500  # the most that JPEG can write, less its margins
CHECK_BYTES = 400_000_000  # shared by all checks of a process; a check that needs more runs alone
_budget = Budget(CHECK_BYTES)


@dataclass(frozen=True)
class ImageInfo:
    """The contents of a picture's header; width and height are those of the upright picture."""

    format: str
    width: int
    height: int
    orientation: int
    plain_jpeg: bool
    grey: bool = False

    @property
    def extension(self) -> str:
        """The file name's ending, without the dot."""
        return FORMATS[self.format][0]

    @property
    def content_type(self) -> str:
        """The media type."""
        return FORMATS[self.format][1]


@dataclass(frozen=True)
class _Opened:
    """A picture whose header was read."""

    image: Image.Image
    info: ImageInfo
    parts: Parts

    def conversion(self) -> colour.Conversion | None:
        """Return the conversion of its colours to sRGB; None if they are sRGB."""
        is_grey = self.image.mode[0] in "1LIF" or (self.info.format == "PNG" and png.is_grey(self.parts.essential))
        mode = "CMYK" if self.image.mode == "CMYK" else "L" if is_grey else "RGB"
        return colour.to_srgb(self.parts.profiles, mode)


def probe(data: bytes, max_pixels: int) -> ImageInfo:
    """Read a picture's header, not its pixels.

    Raises:
        BadImage: the bytes are no picture of an accepted format, or it has more than ``max_pixels``.
    """
    with _open(data, max_pixels) as opened:
        return opened.info


def check(data: bytes, max_pixels: int) -> ImageInfo:
    """Decode a whole picture as cheaply as its format allows, and return its header: the check of uploads.

    Raises:
        BadImage: as ``probe``, or the picture is cut off or damaged.
    """
    with _open(data, max_pixels) as opened:
        info = opened.info
        bytes_per_pixel = 8 if info.format == "WEBP" else 4
        with _budget.spend(info.width * info.height * bytes_per_pixel):
            if info.format == "WEBP":
                _decode_by_opencv(opened, cv2.IMREAD_UNCHANGED)
            elif info.format != "JPEG":
                _read_through(opened.image)
                if png.has_deep_transparent_colour(opened.parts.essential):
                    _decode_by_opencv(opened, cv2.IMREAD_UNCHANGED)  # as the stages do
            elif not damage.refuse_damaged(opened.parts):
                _read_through(opened.image)
                damage.refuse_cut_off(opened.parts)
        return info


def decode(data: bytes, max_pixels: int, at_least: int | None = None) -> tuple[Pixels, ImageInfo]:
    """Decode the first frame, upright, to BGR in sRGB, uint8 [height, width, 3]; transparency becomes white.

    A JPEG is shrunk inside the decoder by 2, 4 or 8 while its long side keeps ``at_least`` pixels, which saves
    memory and work. The ImageInfo has the original size.

    Raises:
        BadImage: the bytes are no picture, or it is too large or damaged.
    """
    pixels, info = _decode_as_stored(data, max_pixels, at_least)
    return turns.upright(pixels, info.orientation), info


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Encode BGR [h, w, 3] or grey [h, w] uint8 as JPEG."""
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise BadImage(f"a picture of {pixels.shape[1]} × {pixels.shape[0]} cannot be written as JPEG")
    return encoded.tobytes()


def fit(width: int, height: int, longest: int) -> tuple[int, int]:
    """Return the size that keeps the shape and has no side over ``longest``; never enlarged, never below 1."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def shrink(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize to width × height without aliasing; the same array when nothing changes.

    Area averaging is used where each pixel covers two or more; otherwise linear interpolation, which then skips no
    pixel, gives the same quality in a quarter of the time.
    """
    if (pixels.shape[1], pixels.shape[0]) == (width, height):
        return pixels
    how = cv2.INTER_LINEAR if 2 * width > pixels.shape[1] else cv2.INTER_AREA
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), dtype=np.uint8)


@contextmanager
def _open(data: bytes, max_pixels: int) -> Iterator[_Opened]:
    if not data:
        raise BadImage("the upload is empty (0 bytes)", 400)
    parts = _take_apart(data)
    claimed = webp.size(data)
    if claimed is not None:
        _refuse_size(*claimed, max_pixels)
    try:
        image = Image.open(io.BytesIO(parts.essential), formats=list(FORMATS))
    except Exception as error:  # hostile bytes may raise anything
        raise BadImage(f"not a picture that can be read; send {ACCEPTED}", 415) from error
    with image:
        _refuse_size(*image.size, max_pixels)
        yield _Opened(image, _info(image, parts), parts)


def _take_apart(data: bytes) -> Parts:
    for signature, read in ((jpeg.START, jpeg.read), (png.SIGNATURE, png.read)):
        if data.startswith(signature):
            return read(data)
    return webp.read(data) if webp.is_webp(data) else Parts(data)


def _refuse_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels or min(width, height) < 1 or max(width, height) > MAX_SIDE:
        limit = f"at most {max_pixels:,} pixels, and {MAX_SIDE:,} on a side, are taken"
        raise BadImage(f"the picture claims {width} × {height} = {width * height:,} pixels; {limit}", 413)


def _info(image: Image.Image, parts: Parts) -> ImageInfo:
    orientation = exif.orientation(parts.exif)
    width, height = image.size
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    name = str(image.format)
    plain_jpeg = name == "JPEG" and image.mode in ("RGB", "L")
    return ImageInfo(name, width, height, orientation, plain_jpeg, image.mode == "L")


def _read_through(image: Image.Image) -> None:
    try:
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
    except Exception as error:  # see _open
        raise BadImage(f"the {image.format} is cut off or damaged: {error}") from error


def _decode_as_stored(data: bytes, max_pixels: int, at_least: int | None) -> tuple[Pixels, ImageInfo]:
    """Decode to BGR in the stored orientation; the decoder's own memory is freed on return."""
    with _open(data, max_pixels) as opened:
        info, conversion = opened.info, opened.conversion()
        if not info.plain_jpeg and info.format != "WEBP":
            return _decode_by_pillow(opened, conversion), info
    if info.plain_jpeg and info.grey and at_least is None:
        grey = _decode_by_opencv(opened, cv2.IMREAD_GRAYSCALE)  # twice as fast as OpenCV's own conversion
        pixels = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    else:
        flag = _reduction(info, at_least) if info.plain_jpeg else cv2.IMREAD_UNCHANGED
        pixels = _decode_by_opencv(opened, flag)
    return to_bgr.from_opencv(pixels, conversion), info


def _reduction(info: ImageInfo, at_least: int | None) -> int:
    longest = max(info.width, info.height)
    for divisor, reduced in (
        (8, cv2.IMREAD_REDUCED_COLOR_8),
        (4, cv2.IMREAD_REDUCED_COLOR_4),
        (2, cv2.IMREAD_REDUCED_COLOR_2),
    ):
        if at_least is not None and longest // divisor >= at_least:
            return reduced
    return cv2.IMREAD_COLOR


def _decode_by_opencv(opened: _Opened, flag: int) -> NDArray[Any]:
    form = opened.info.format
    try:
        data = np.frombuffer(opened.parts.essential, np.uint8)
        pixels = cv2.imdecode(data, flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImage(f"the {form} cannot be decoded: {error.err}") from error
    if pixels is None:
        raise BadImage(f"the {form} is cut off or damaged: it cannot be decoded")
    return np.asarray(pixels)


def _decode_by_pillow(opened: _Opened, conversion: colour.Conversion | None) -> Pixels:
    try:
        if opened.info.format == "PNG" and png.has_deep_transparent_colour(opened.parts.essential):
            return to_bgr.from_deep_colour(_decode_by_opencv(opened, cv2.IMREAD_UNCHANGED), conversion)
        return to_bgr.from_pillow(opened.image, conversion)
    except BadImage:
        raise
    except Exception as error:  # see _open
        raise BadImage(f"the {opened.info.format} cannot be decoded: {error}") from error

"""Pictures: every byte string is hostile until it is decoded within limits. The one place that decodes and encodes."""

import io
from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stageline.errors import BadImage

Pixels = NDArray[np.uint8]

Image.MAX_IMAGE_PIXELS = None  # our own limit is stricter and says what is allowed
cv2.setNumThreads(1)  # a stage is scaled by its workers, not by threads that fight over the cores

ORIENTATION_TAG = 0x0112
WHITE = (255, 255, 255, 255)
# Pillow's name → the extension and the media type we store it under. MPO is a JPEG with more behind it.
FORMATS = {
    "JPEG": ("jpg", "image/jpeg"),
    "MPO": ("jpg", "image/jpeg"),
    "PNG": ("png", "image/png"),
    "WEBP": ("webp", "image/webp"),
    "GIF": ("gif", "image/gif"),
    "BMP": ("bmp", "image/bmp"),
}
ACCEPTED = "JPEG, PNG, WebP, GIF or BMP"
LONGEST_SIDE = 65_500  # the most that JPEG can write, less its margins
_LARGE = 8_000_000
_one_large_at_a_time = Lock()
# EXIF orientation → how the stored rows are turned to be seen upright (EXIF 2.32, tag 274).
_TURNS = {
    2: lambda a: cv2.flip(a, 1),
    3: lambda a: cv2.rotate(a, cv2.ROTATE_180),
    4: lambda a: cv2.flip(a, 0),
    5: cv2.transpose,
    6: lambda a: cv2.rotate(a, cv2.ROTATE_90_CLOCKWISE),
    7: lambda a: cv2.rotate(cv2.transpose(a), cv2.ROTATE_180),
    8: lambda a: cv2.rotate(a, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


@dataclass(frozen=True)
class ImageInfo:
    """What a picture's header says; width and height as it is meant to be seen."""

    format: str
    width: int
    height: int
    orientation: int
    plain_jpeg: bool

    @property
    def extension(self) -> str:
        """The file name's ending, without the dot."""
        return FORMATS[self.format][0]

    @property
    def content_type(self) -> str:
        """The media type."""
        return FORMATS[self.format][1]


def probe(data: bytes, max_pixels: int) -> ImageInfo:
    """Read a picture's header, and nothing of its pixels.

    Raises:
        BadImage: not a picture of an accepted format, or one of more than ``max_pixels``.
    """
    with _open(data, max_pixels) as image:
        return _info(image)


def check(data: bytes, max_pixels: int) -> ImageInfo:
    """Read a picture whole, as cheaply as its format allows, and keep nothing: the door's check.

    Raises:
        BadImage: as ``probe``, and for one that is cut off or damaged.
    """
    with _open(data, max_pixels) as image:
        info = _info(image)
        if info.width * info.height <= _LARGE:
            _read_through(image)
        else:
            with _one_large_at_a_time:
                _read_through(image)
        return info


def decode(data: bytes, max_pixels: int, at_least: int | None = None) -> tuple[Pixels, ImageInfo]:
    """Decode the first frame upright to BGR, uint8 [height, width, 3]; transparency shows white.

    A JPEG is shrunk inside the decoder by 2, 4 or 8 while its long side keeps ``at_least`` pixels: less
    memory, and less work. The ImageInfo gives the size before that.

    Raises:
        BadImage: not a picture, too large, or damaged beyond decoding.
    """
    with _open(data, max_pixels) as image:
        info = _info(image)
        if not info.plain_jpeg:
            pixels = _decode_by_pillow(image)
    if info.plain_jpeg:
        pixels = _decode_jpeg(data, info, at_least)
    turn = _TURNS.get(info.orientation)
    return (pixels if turn is None else np.asarray(turn(pixels), dtype=np.uint8)), info


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
    """Resize to width × height by area averaging, which does not alias; the same array when nothing changes."""
    if (pixels.shape[1], pixels.shape[0]) == (width, height):
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if not data:
        raise BadImage("the upload is empty (0 bytes)", 400)
    try:
        image = Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name != "MPO"])
    except Exception as error:  # hostile bytes: whatever a parser raises, it is no picture
        raise BadImage(f"not a picture that can be read; send {ACCEPTED}", 415) from error
    width, height = image.size
    if width * height > max_pixels or min(width, height) < 1 or max(width, height) > LONGEST_SIDE:
        image.close()
        limit = f"at most {max_pixels:,} pixels, and {LONGEST_SIDE:,} on a side, are taken"
        raise BadImage(f"the picture claims {width} × {height} = {width * height:,} pixels; {limit}", 413)
    return image


def _info(image: Image.Image) -> ImageInfo:
    try:
        orientation = int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - a damaged EXIF block turns nothing, and harms nothing
        orientation = 1
    width, height = image.size
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    name = str(image.format)
    return ImageInfo(name, width, height, orientation, name in ("JPEG", "MPO") and image.mode in ("RGB", "L"))


def _read_through(image: Image.Image) -> None:
    try:
        image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
    except Exception as error:  # see _open
        raise BadImage(f"the {image.format} is cut off or damaged: {error}") from error


def _decode_jpeg(data: bytes, info: ImageInfo, at_least: int | None) -> Pixels:
    flag = cv2.IMREAD_COLOR
    longest = max(info.width, info.height)
    for divisor, reduced in (
        (8, cv2.IMREAD_REDUCED_COLOR_8),
        (4, cv2.IMREAD_REDUCED_COLOR_4),
        (2, cv2.IMREAD_REDUCED_COLOR_2),
    ):
        if at_least is not None and longest // divisor >= at_least:
            flag = reduced
            break
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadImage(f"the JPEG cannot be decoded: {error.err}") from error
    if pixels is None:
        raise BadImage("the JPEG cannot be decoded")
    return np.asarray(pixels, dtype=np.uint8)


def _decode_by_pillow(image: Image.Image) -> Pixels:
    try:
        if image.mode.startswith(("I", "F")):
            return _from_deep_grey(image)
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            ground = Image.new("RGBA", layer.size, WHITE)
            ground.alpha_composite(layer)
            del layer
            image = ground
        rgb = np.asarray(image.convert("RGB"))
    except Exception as error:  # see _open
        raise BadImage(f"the {image.format} cannot be decoded: {error}") from error
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), dtype=np.uint8)


def _from_deep_grey(image: Image.Image) -> Pixels:
    """Take 16 bits of grey to 8 as the top byte; Pillow's own convert clips instead."""
    grey = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)

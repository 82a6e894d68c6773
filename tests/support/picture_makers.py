"""Pictures for the tests, made here: none is committed."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
MAX_PIXELS = 50_000_000
ORIENTATION = 0x0112


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def scene(width: int = 64, height: int = 48) -> Image.Image:
    """RGB, of four coloured quarters and a dark corner: no turn of it looks like another; JPEG keeps it well."""
    image = Image.new("RGB", (width, height))
    for (x, y), colour in zip(((0, 0), (1, 0), (0, 1), (1, 1)), ("red", "lime", "blue", "yellow"), strict=True):
        image.paste(colour, (x * width // 2, y * height // 2, (x + 1) * width // 2, (y + 1) * height // 2))
    image.paste((20, 20, 20), (0, 0, width // 4, height // 4))
    return image


def noise(width: int = 64, height: int = 48, seed: int = 7) -> Image.Image:
    """RGB, every pixel another."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def bgr(image: Image.Image) -> Pixels:
    """What decode should give of an RGB picture."""
    return np.asarray(image.convert("RGB"))[:, :, ::-1]


def with_orientation(image: Image.Image, orientation: int, form: str, **options: Any) -> bytes:
    """The picture as a file whose EXIF names an orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, form, exif=exif, **options)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG with any header; ``rows`` with their filter bytes; ``more`` are chunks before the pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + png_chunk(b"IEND", b"")


def exif_block(orientation: int, kind: str = "H", *, count: int = 1) -> bytes:
    """EXIF of nothing but an orientation, of one of TIFF's types of integers, as struct writes them."""
    number = {"B": 1, "H": 3, "I": 4, "b": 6, "h": 8, "i": 9}[kind]
    field = struct.pack(">HHI", ORIENTATION, number, count) + struct.pack(f">{kind}", orientation).ljust(4, b"\0")
    return b"MM\0*" + struct.pack(">IH", 8, 1) + field + bytes(4)


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with further segments at its beginning, each a marker and a content."""
    made = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(held) + 2) + held for marker, held in segments)
    return jpeg[:2] + made + jpeg[2:]


def with_chunks(file: bytes, *chunks: bytes) -> bytes:
    """A PNG with further chunks behind its header."""
    return file[:33] + b"".join(chunks) + file[33:]


def raw_profile(name: str, content: bytes) -> bytes:
    """The text that ImageMagick makes of a profile."""
    digits = content.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\n{name}\n{len(content):8d}\n{lines}\n".encode()


def animation(form: str) -> bytes:
    """Three frames: the scene, noise, noise."""
    frames = [scene(), noise(), noise(seed=8)]
    options = {"lossless": True} if form == "WEBP" else {}
    return encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=100, loop=0, **options)


def all_kinds() -> dict[str, bytes]:
    """A small valid picture of every format and kind, by a name for it."""
    still, deep = noise(), np.random.default_rng(1).integers(0, 65536, (48, 64), dtype=np.uint16)
    return {
        "jpeg": encoded(still, "JPEG"),
        "progressive jpeg": encoded(still, "JPEG", progressive=True),
        "grey jpeg": encoded(still.convert("L"), "JPEG"),
        "cmyk jpeg": encoded(still.convert("CMYK"), "JPEG"),
        "jpeg with exif": with_orientation(still, 6, "JPEG"),
        "png": encoded(still, "PNG"),
        "palette png": encoded(still.convert("P"), "PNG"),
        "16-bit png": encoded(Image.fromarray(deep), "PNG"),
        "1-bit png": encoded(still.convert("1"), "PNG"),
        "png with alpha": encoded(still.convert("RGBA"), "PNG"),
        "apng": animation("PNG"),
        "gif": encoded(still.convert("P"), "GIF"),
        "animated gif": animation("GIF"),
        "bmp": encoded(still, "BMP"),
        "palette bmp": encoded(still.convert("P"), "BMP"),
        "webp": encoded(still, "WEBP"),
        "lossless webp": encoded(still, "WEBP", lossless=True),
        "webp with alpha": encoded(still.convert("RGBA"), "WEBP"),
        "animated webp": animation("WEBP"),
    }

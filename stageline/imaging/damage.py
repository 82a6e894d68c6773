"""Checks by the decoder's warnings whether a JPEG's pixels are complete; harmless surplus bytes are accepted."""

import io
import re

import simplejpeg
from PIL import Image

from stageline.core.errors import BadImage
from stageline.imaging.jpeg import END
from stageline.imaging.parts import Parts

MAX_TRIES = 5  # decodings of a file with surplus bytes
_DAMAGE = "Corrupt JPEG data"  # the beginning of the decoder's warnings about lost or foreign data in the pixels
_LEFT_OVER = re.compile(rf"{_DAMAGE}: (\d+) extraneous bytes before marker 0x(\w\w)")
_PADDING = b"\0\xff"  # cameras fill a file up with these before its end marker, or in its place
_FEW = 2  # bytes; webcams leave one or two, a decoder that lost its place leaves more
_WORDS = re.compile(rb"[\t\r\n -~]*")  # text, as from the stream that contained the picture
_JUNK = bytes(171 * number * number % 251 for number in range(1, 97))  # various codes, without a marker
_END, _RESTARTS = 0xD9, range(0xD0, 0xD8)
_READ_AHEAD = 16  # bytes that the decoder may hold before a restart marker, and also counts
_BEFORE_RESTARTS = [re.compile(rb".{%d}(?=\xff[\xd0-\xd7])" % count, re.DOTALL) for count in (_FEW, 1)]
_STUFFED = re.compile(rb"(?:\xff\0)*")
_BETWEEN_SCANS = re.compile(rb"\0+(?=\xff[\xc4\xda\xdb\xdd])")


def refuse_damaged(parts: Parts) -> bool:
    """Decode a JPEG at an eighth of the size, in grey, and check the decoder's warnings.

    The decoder reports only its first warning. If that is about surplus bytes which may be harmless, they are removed
    and the file is decoded again, which must then give no warning.

    Returns:
        Whether the check was possible: False for the few kinds of JPEG that this decoder does not support.

    Raises:
        BadImage: pixels are missing or damaged.
    """
    if parts.flaw:
        raise damaged(parts.flaw)
    first, candidates = "", [parts.essential]
    for _ in range(MAX_TRIES):
        if not candidates:
            break
        candidate = candidates.pop()
        warning = _warning(candidate)
        if not warning:
            return not parts.arithmetic
        first = first or warning
        candidates += _without_left_over(candidate, warning)
    if first.startswith(_DAMAGE):
        raise damaged(first.removeprefix(f"{_DAMAGE}: "))
    return False


def refuse_cut_off(parts: Parts) -> None:
    """Detect lost pixels of a JPEG whose decoder does not report them: the bytes after them would be read as pixels.

    Raises:
        BadImage: pixels are missing.
    """
    seen = []
    for data in (parts.essential, parts.essential[: -len(END)] + _JUNK + END):
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
            seen.append(image.tobytes())
    if seen[0] != seen[1]:
        raise damaged("the pixels end too soon")


def damaged(why: str) -> BadImage:
    """Return the error of a damaged JPEG."""
    return BadImage(f"the JPEG is cut off or damaged, and a part of its pixels is lost: {why}; send the whole file")


def _warning(essential: bytes) -> str:
    try:
        simplejpeg.decode_jpeg(essential, "GRAY", fastdct=True, min_height=1, min_width=1)
    except ValueError as error:
        return str(error) or _DAMAGE
    return ""


def _without_left_over(essential: bytes, warning: str) -> list[bytes]:
    """Return the file without the surplus bytes, in each possible way; an empty list if they are damage."""
    found = _LEFT_OVER.fullmatch(warning)
    if found is None:
        return []
    count, marker = int(found[1]), int(found[2], 16)
    if marker == _END:
        return _with_another_end(essential[:-2], count)
    scan = essential.index(b"\xff\xda") if b"\xff\xda" in essential else len(essential)
    if marker in _RESTARTS:
        few = [pattern.sub(b"", essential[scan:]) for pattern in _BEFORE_RESTARTS]
        return [essential[:scan] + rest for rest in few] if count <= _FEW + _READ_AHEAD else []
    without = essential[:scan] + _BETWEEN_SCANS.sub(b"", essential[scan:])
    return [without] if without != essential else []


def _with_another_end(pixels: bytes, count: int) -> list[bytes]:
    """Return the file without ``count`` bytes before its end, if they are what some cameras and programs leave there.

    Zeros are codes too: of a file that is filled up with them, all are removed, or all but one or two, which may be the
    last of the pixels.
    """
    left_over = pixels[-count:]
    if not left_over.strip(_PADDING):
        end = len(pixels.rstrip(_PADDING))
        stuffed = _STUFFED.match(pixels, end)  # bytes of the pixels, each written as two
        end = stuffed.end() if stuffed else end
        return [pixels[: end + kept] + END for kept in (2, 1, 0) if end + kept < len(pixels)]
    if count <= _FEW or len(set(left_over)) == 1 or _WORDS.fullmatch(left_over):
        return [pixels[:-count] + END]
    return []

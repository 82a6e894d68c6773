"""The parts of a picture's file: the bytes for a decoder, and the metadata."""

from dataclasses import dataclass

MAX_PROFILE = 4 * 1024 * 1024  # bytes of an ICC profile; those of printing presses have up to 3 MB


@dataclass(frozen=True)
class Parts:
    """The parts of a picture's file.

    ``essential`` is the file without metadata: a decoder gets only this, so no metadata can make it fail. ``exif`` is
    the EXIF block, if any. ``profiles`` are the possible ICC profiles of the pixels, the best first: the first usable
    one counts. ``flaw`` names damage of the pixels that is found without decoding. ``arithmetic``: the pixels are in
    JPEG's arithmetic code; no decoder reports that such pixels end too early.
    """

    essential: bytes
    exif: bytes | None = None
    profiles: tuple[bytes, ...] = ()
    flaw: str = ""
    arithmetic: bool = False

"""A picture's file taken apart: what a decoder needs, and what was said beside the pixels."""

from dataclasses import dataclass

MAX_PROFILE = 4 * 1024 * 1024  # bytes of an ICC profile; those of printing presses have up to 3 MB


@dataclass(frozen=True)
class Parts:
    """What a file holds.

    ``essential`` is the file without metadata: no decoder gets to see the rest, so no metadata can make it fail.
    ``exif`` is the EXIF block, if any. ``profiles`` are the ICC profiles that the pixels may be in, the best first:
    the first that can be used counts. ``flaw`` says what is seen to be wrong with the pixels without decoding them.
    ``arithmetic``: the pixels are in JPEG's arithmetic code, of whose early end no decoder tells.
    """

    essential: bytes
    exif: bytes | None = None
    profiles: tuple[bytes, ...] = ()
    flaw: str = ""
    arithmetic: bool = False

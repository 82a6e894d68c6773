"""A picture's file taken apart: what a decoder needs, and what was said beside the pixels."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parts:
    """What a file holds.

    ``essential`` is the file without metadata: no decoder gets to see the rest, so no metadata can make it fail.
    ``exif`` is the EXIF block, if any. ``profiles`` are the ICC profiles that the pixels may be in, the best first:
    the first that can be used counts. ``flaw`` says what is seen to be wrong with the pixels without decoding them.
    """

    essential: bytes
    exif: bytes | None = None
    profiles: tuple[bytes, ...] = ()
    flaw: str = ""

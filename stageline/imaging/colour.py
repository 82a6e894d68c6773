"""Converts pixels to sRGB by LittleCMS, as browsers do; the networks were trained on sRGB."""

import hashlib
import io
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]
STRIP_ROWS = 256  # rows converted at a time, to bound the memory of intermediate arrays
# Pillow's modes, and the profiles' names of them; a photograph made grey often keeps the profile of its colours.
SPACES = {"RGB": ("RGB",), "L": ("GRAY", "RGB"), "CMYK": ("CMYK",)}
KEPT = 16  # profiles whose conversion is cached; one of CMYK has some megabytes
SAME = 1  # levels of 255; a conversion that changes no colour by more is the identity
_STEPS = 6  # of each channel, when a profile is compared with sRGB


class Conversion:
    """A conversion from the colours of one profile to sRGB."""

    def __init__(self, transform: Any, mode: str, taken: str) -> None:
        """Take Pillow's transform, the mode of the pictures (RGB, L or CMYK), and the mode that the transform takes."""
        self._transform = transform
        self._mode = mode
        self._levels = None if mode != "L" else _grey_levels(transform, taken)

    def convert(self, bgr: Pixels) -> Pixels:
        """Convert BGR [h, w, 3], or BGRA [h, w, 4] whose alpha stays, uint8, in place; return the same array.

        The three channels of a grey picture are assumed to be equal.
        """
        for top in range(0, bgr.shape[0], STRIP_ROWS):
            strip = bgr[top : top + STRIP_ROWS, :, :3]
            if self._levels is not None:
                strip[:] = self._levels[strip]
            else:
                size = strip.shape[1], strip.shape[0]
                rgb = Image.frombuffer("RGB", size, np.ascontiguousarray(strip), "raw", "BGR", 0, 1)
                converted = self._transform.apply(rgb).tobytes("raw", "BGR")
                strip[:] = np.frombuffer(converted, np.uint8).reshape(strip.shape)
        return bgr

    def convert_cmyk(self, image: Image.Image) -> Image.Image:
        """Convert a picture of mode CMYK to RGB."""
        return self._transform.apply(image)  # type: ignore[no-any-return] # Pillow's

    def changes_nothing(self) -> bool:
        """Return whether this is the identity: from sRGB to sRGB."""
        if self._mode == "CMYK":
            return False
        if self._levels is not None:
            return bool(np.abs(self._levels.astype(int) - np.arange(256)).max() <= SAME)
        steps = np.linspace(0, 255, _STEPS).round().astype(np.uint8)
        colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(_STEPS, -1, 3)
        return bool(np.abs(self.convert(colours.copy()).astype(int) - colours).max() <= SAME)


def to_srgb(profiles: Sequence[bytes], mode: str) -> Conversion | None:
    """Return the conversion of the first usable profile to sRGB; None if there is none, or it changes nothing.

    Args:
        profiles: ICC profiles; damaged ones, and those of another colour space, are skipped.
        mode: Pillow's mode of the decoded picture: RGB, L or CMYK.
    """
    for profile in profiles:
        found = _by_digest(_Profile(profile), mode)
        if found is not None:
            return None if found.is_srgb else found.conversion
    return None


class _Profile:
    """A profile that is hashed by its digest, so that the cache keeps no file's bytes."""

    def __init__(self, data: bytes) -> None:
        self.data: bytes | None = data
        self._digest = hashlib.sha256(data).digest()

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Profile) and self._digest == other._digest


class _Usable:
    def __init__(self, conversion: Conversion) -> None:
        self.is_srgb = conversion.changes_nothing()
        self.conversion = None if self.is_srgb else conversion


@lru_cache(maxsize=KEPT)
def _by_digest(profile: _Profile, mode: str) -> _Usable | None:
    data, profile.data = profile.data or b"", None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = opened.profile.xcolor_space.strip()
        if space not in SPACES[mode]:
            return None
        # With the perceptual intent LittleCMS would stretch the darkest ink to black, which browsers do not.
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        taken = "RGB" if space == "RGB" else mode
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), taken, "RGB", intent)
        return _Usable(Conversion(transform, mode, taken))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # a damaged profile counts as none
        return None


def _grey_levels(transform: Any, taken: str) -> Pixels:
    """Return the sRGB level of each level of grey."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(1, 256)).convert(taken)
    return np.ascontiguousarray(np.asarray(transform.apply(ramp))[0, :, 1])

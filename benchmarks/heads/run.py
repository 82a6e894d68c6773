"""Sends labelled pictures, unchanged or made harder, through the line's own functions."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.heads.judging import Sheet, judge
from benchmarks.heads.labels import HeadPicture
from benchmarks.heads.variants import Pixels, Variant, as_it_is
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.local.monolith import Monolith
from stageline.registry.missing_models import missing

FACES = "mtcnn"
Seen = tuple[HeadPicture, Mapping[str, Any]]  # the labels, and the fields of the message


def open_line(settings: Settings) -> Monolith:
    """Load the whole chain.

    Raises:
        ModelError: the detector of objects or that of faces is not installed.
    """
    chain = Monolith(settings)
    absent = {settings.detect_model, FACES} & set(missing(chain.models))
    if absent:
        raise ModelError(f"not installed in {settings.models_folder}: {', '.join(sorted(absent))}; run `make models`")
    return chain


def look(chain: Monolith, folder: Path, labelled: Sequence[HeadPicture], variant: Variant = as_it_is) -> Iterator[Seen]:
    """Send every labelled picture of ``folder``, a variant of it, through the chain.

    Raises:
        FileNotFoundError: a labelled picture is not there.
        ValueError: one is not of the size that was labelled.
    """
    for picture in labelled:
        data = (folder / picture.name).read_bytes()
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None or bgr.shape[:2] != (picture.height, picture.width):
            wanted = f"{picture.width} × {picture.height} pixels"
            raise ValueError(f"{folder / picture.name} is not the picture that was labelled, which has {wanted}")
        original = np.asarray(bgr, np.uint8)
        for pixels, shown in variant(original, picture):
            sent = data if pixels is original else _png(pixels)
            yield shown, chain.run(sent, picture.name)[0].fields


def sheets(seen: Sequence[Seen], settings: Settings) -> list[Sheet]:
    """Judge the pictures."""
    return [judge(picture, fields, settings.blur_classes) for picture, fields in seen]


def _png(pixels: Pixels) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()

"""The inputs on which a model is measured: the shapes of pictures in its networks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stageline.core.errors import StagelineError
from stageline.imaging import codec
from stageline.inference.graph import Array, Signature, signature
from stageline.inference.model_input import as_array, resized
from stageline.registry.card import Input, ModelFiles

Size = tuple[int, int]  # height, width
COMMON: tuple[Size, ...] = ((480, 640), (640, 480), (427, 640), (640, 427), (360, 640), (375, 500), (500, 375))
"""The commonest sizes of COCO's pictures."""
MAX_PICTURES = 16
STEP = 32  # a letterboxed side is a multiple of this
MIN_FACE, CELL, FACTOR = 40, 12, 0.709  # the pyramid of P-Net: detect_service/faces.py


@dataclass(frozen=True)
class Case:
    """A network, and the calls by which it processes some pictures."""

    model: str
    """``name@version``, with the file name if the model has several."""
    onnx: bytes
    signature: Signature
    batch: int
    calls: Sequence[Sequence[npt.NDArray[Any]]]
    """The inputs of each call."""
    pictures: int
    """The number of pictures of these calls; of crops, if the network takes crops."""


def read_pictures(folder: Path, max_pixels: int) -> list[codec.Pixels]:
    """Decode the first pictures of a folder.

    Raises:
        StagelineError: the folder has no pictures.
    """
    read: list[codec.Pixels] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and len(read) < MAX_PICTURES:
            try:
                read.append(codec.decode(path.read_bytes(), max_pixels)[0])
            except StagelineError:  # no picture
                continue
    if not read:
        raise StagelineError(f"no pictures in {folder}")
    return read


def noise() -> list[codec.Pixels]:
    """Make noise of the commonest sizes: the contents make no difference to most networks."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in COMMON]


def cases(model: ModelFiles, pictures: Sequence[codec.Pixels], batches: Sequence[int]) -> Iterator[Case]:
    """Yield each network of a model with each batch size that it takes.

    Raises:
        ModelError: a file is no network.
    """
    for file, onnx in model.files.items():
        name = model.card.reference if len(model.files) == 1 else f"{model.card.reference}/{file}"
        found = signature(onnx, name)
        for batch in _batches(found.inputs[0], model) or batches:
            yield _case(name, onnx, found, model, pictures, batch)


def _batches(taken: Array, model: ModelFiles) -> list[int]:
    """Return the fixed batch size in a network's file or card; an empty list if it is free."""
    stated = (
        model.card.input.shape[0] if len(model.files) == 1 else None
    )  # of several networks, the card describes the first
    fixed = (taken.shape or (None,))[0] or stated
    return [fixed] if isinstance(fixed, int) else []


def _case(
    name: str, onnx: bytes, found: Signature, model: ModelFiles, pictures: Sequence[codec.Pixels], batch: int
) -> Case:
    card, taken = model.card.input, found.inputs[0]
    letterboxed = model.card.preprocessing.fit == "letterbox"
    varies = taken.shape is None or any(taken.shape[axis] is None for axis in _axes(card))
    chosen = pictures if varies else pictures[:1]
    calls = [
        [as_array([resized(picture, size[1], size[0])] * batch, card)]
        for picture in chosen
        for size in _sizes(taken, card, picture.shape[:2], letterboxed=letterboxed)
    ]
    return Case(name, onnx, found, batch, calls, batch * len(chosen))


def _axes(card: Input) -> Size:
    return (2, 3) if card.layout == "NCHW" else (1, 2)


def _sizes(taken: Array, card: Input, picture: Sequence[int], *, letterboxed: bool) -> list[Size]:
    """Return the sizes in which a picture of that height and width goes through a network."""
    axes = _axes(card)
    fixed = [taken.shape[axis] if taken.shape else None for axis in axes]
    wanted = [side or given for side, given in zip(fixed, (card.shape[axis] for axis in axes), strict=True)]
    height, width = (side if isinstance(side, int) else None for side in wanted)
    if height is None or width is None:
        return _pyramid(picture)
    if letterboxed and None in fixed:
        scale = min(height / picture[0], width / picture[1])
        return [(_stepped(picture[0] * scale), _stepped(picture[1] * scale))]
    return [(height, width)]


def _pyramid(picture: Sequence[int]) -> list[Size]:
    scale, sizes = CELL / MIN_FACE, []
    while min(picture) * scale >= CELL:
        sizes.append((int(picture[0] * scale + 1), int(picture[1] * scale + 1)))
        scale *= FACTOR
    return sizes


def _stepped(length: float) -> int:
    return max(1, -(-round(length) // STEP)) * STEP

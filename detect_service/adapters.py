"""Adapters: each turns the outputs of one kind of detector into boxes. A card names one; see docs/adding-a-model.md."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from stageline.core.errors import ModelError
from stageline.inference import FloatArray

STRIDES = (8, 16, 32)  # of YOLOX's three grids, in pixels of its input
NMS_IOU = 0.45  # YOLOX's own demo
MAX_CANDIDATES = 1000


@dataclass(frozen=True)
class AdapterInput:
    """What an adapter needs besides the outputs."""

    height: int
    width: int
    """Of the network's input, in pixels."""
    labels: int
    """The number of labels in the card."""
    min_score: float
    """Findings with a lower score may be left out."""


@dataclass(frozen=True)
class Candidates:
    """Findings of a network in its input."""

    boxes: FloatArray
    """[n, 4] of x1, y1, x2, y2, in pixels of the network's input."""
    scores: FloatArray
    """[n], 0..1."""
    labels: NDArray[np.int64]
    """[n], the index of each label in the card's list, from 0."""


Adapter = Callable[[Sequence[FloatArray], AdapterInput], Candidates]


def yolox(outputs: Sequence[FloatArray], seen: AdapterInput) -> Candidates:
    """Read YOLOX's outputs as its authors export it, [1, cells, 5 + classes] on the grid, and suppress overlaps.

    Source: Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021", arXiv:2107.08430, and its demo's decoding. A cell
    has its centre and the logarithms of its sides, in strides, its objectness, and a probability for each class.

    Raises:
        ModelError: the outputs differ from that.
    """
    all_corners, all_strides = _cells(seen.height, seen.width)
    check_shapes(outputs, "the adapter yolox reads", (1, len(all_corners), 5 + seen.labels))
    cells = outputs[0][0]
    likely = np.flatnonzero(cells[:, 4] >= seen.min_score)  # a score is objectness × class: never above the former
    cells, corners, strides = cells[likely], all_corners[likely], all_strides[likely]
    by_class = cells[:, 4:5] * cells[:, 5:]
    labels = by_class.argmax(axis=1)
    scores = by_class[np.arange(len(labels)), labels]
    best = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    best = best[scores[best] >= seen.min_score]
    cells, corners, strides = cells[best], corners[best], strides[best]
    centre = (cells[:, 0:2] + corners) * strides
    half = np.exp(np.minimum(cells[:, 2:4], 20.0)) * strides / 2
    return suppressed(Candidates(np.concatenate([centre - half, centre + half], axis=1), scores[best], labels[best]))


def ssd(outputs: Sequence[FloatArray], seen: AdapterInput) -> Candidates:
    """Read the outputs of TensorFlow's object detection API, with overlaps suppressed.

    In this order, that of their names: ``detection_boxes`` [1, n, 4] of y1, x1, y2, x2 as shares of the picture,
    ``detection_classes`` [1, n], counted from 1, ``detection_scores`` [1, n], ``num_detections`` [1].
    Source: the ONNX model zoo's ssd_mobilenet_v1_10.onnx, as ONNX_HUB_MANIFEST.json there describes it.

    Raises:
        ModelError: the outputs differ from that, or have another order.
    """
    check_shapes(outputs, "the adapter ssd reads", (1, "n", 4), (1, "n"), (1, "n"), (1,))
    boxes, classes, scores, number = outputs
    found = slice(0, max(0, int(np.nan_to_num(number[0]))))
    _check_scores(scores[0, found], "ssd reads boxes, classes, scores and their number")
    edges = boxes[0, found][:, [1, 0, 3, 2]] * np.array([seen.width, seen.height] * 2, np.float32)
    return Candidates(edges, scores[0, found], classes[0, found].astype(np.int64))


def torchvision_ssd(outputs: Sequence[FloatArray], seen: AdapterInput) -> Candidates:  # noqa: ARG001 - every adapter is called alike
    """Read torchvision's SSD and SSDlite: ``boxes`` [n, 4] in pixels of the input, ``scores`` [n], ``labels`` [n].

    In the order of the dictionary of torchvision.models.detection; overlaps are suppressed, and labels count from 1, as
    0 is the background.

    Raises:
        ModelError: the outputs differ from that.
    """
    check_shapes(outputs, "the adapter torchvision-ssd reads", ("n", 4), ("n",), ("n",))
    boxes, scores, labels = outputs
    _check_scores(scores, "torchvision-ssd reads boxes, scores and labels")
    return Candidates(boxes, scores, labels.astype(np.int64))


def check_shapes(outputs: Sequence[FloatArray], wants: str, *wanted: tuple[int | str, ...]) -> None:
    """Check the shapes of outputs; a name in a shape stands for one size wherever it occurs.

    Raises:
        ModelError: the shapes differ.
    """
    named: dict[int | str, int] = {}
    fits = len(outputs) == len(wanted) and all(
        output.ndim == len(shape)
        and all(
            named.setdefault(size, have) == have if isinstance(size, str) else size == have
            for size, have in zip(shape, output.shape, strict=True)
        )
        for output, shape in zip(outputs, wanted, strict=True)
    )
    if not fits:
        shapes = ", ".join(_shown(output.shape) for output in outputs)
        raise ModelError(f"its outputs are {shapes or 'none'}; {wants} {', '.join(_shown(shape) for shape in wanted)}")


def _check_scores(scores: FloatArray, order: str) -> None:
    if (scores > 1.5).any():  # noqa: PLR2004 - between 1 in half precision and the number of the second class
        raise ModelError(f"it gives scores above 1; the adapter {order}, in this order")


def _shown(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def suppressed(found: Candidates, least_overlap: float = NMS_IOU) -> Candidates:
    """Keep the best of boxes of one class that overlap by more (intersection over union); finite boxes, best first."""
    finite = np.isfinite(found.boxes).all(axis=1)  # an infinite box would suppress all others
    found = Candidates(found.boxes[finite], found.scores[finite], found.labels[finite])
    if len(found.scores) == 0:
        return found
    corners_and_sizes = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        corners_and_sizes.tolist(), found.scores.tolist(), found.labels.tolist(), 0.0, least_overlap
    )
    indices = np.asarray(kept, dtype=np.int64).reshape(-1)
    indices = indices[np.argsort(-found.scores[indices], kind="stable")]
    return Candidates(found.boxes[indices], found.scores[indices], found.labels[indices])


@lru_cache(maxsize=32)
def _cells(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """Return the corner [n, 2] and the stride [n, 1] of every cell, in the order of YOLOX's output."""
    grids, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        grids.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)


ADAPTERS: Mapping[str, Adapter] = {"yolox": yolox, "ssd": ssd, "torchvision-ssd": torchvision_ssd}

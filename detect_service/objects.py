"""Objects by YOLOX: Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021", arXiv:2107.08430."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from stageline.images import Pixels
from stageline.inference import Network

FloatArray = NDArray[np.float32]
PAD = 114  # the grey that YOLOX was trained with around its pictures
STRIDES = (8, 16, 32)
NMS_IOU = 0.45  # YOLOX's own demo
MOST_CANDIDATES = 1000
MOST_OBJECTS = 300


@dataclass(frozen=True)
class FoundObject:
    """A box [x1, y1, x2, y2] in pixels of the picture given, its class as an index, its score 0..1."""

    label: int
    score: float
    box: tuple[float, float, float, float]


class ObjectDetector:
    """YOLOX over an ONNX graph: [1, 3, height, width] in (BGR 0..255, multiples of 32), [1, cells, 5 + classes] out."""

    def __init__(self, network: Network, side: int = 416) -> None:
        self._network = network
        self._side = side

    def detect(self, bgr: Pixels, min_score: float) -> list[FoundObject]:
        """Find objects in BGR uint8 [h, w, 3], the best first, at most 300, none below ``min_score``."""
        canvas, ratio = letterbox(bgr, self._side)
        (output,) = self._network.run(_planes(canvas))
        boxes, scores, labels = self._decode(output[0], min_score, canvas.shape[0], canvas.shape[1])
        kept = non_maximum_suppression(boxes, scores, labels)
        height, width = bgr.shape[:2]
        edges = np.clip(boxes[kept] / ratio, 0, [width, height, width, height])
        return [
            FoundObject(int(label), float(score), (float(x1), float(y1), float(x2), float(y2)))
            for (x1, y1, x2, y2), score, label in zip(edges, scores[kept], labels[kept], strict=True)
            if x2 > x1 and y2 > y1
        ]

    def _decode(
        self, cells: FloatArray, min_score: float, height: int, width: int
    ) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
        """Take cells [n, 5 + classes] off the grid; return boxes [m, 4], scores [m] and labels [m] on the canvas."""
        likely = np.flatnonzero(cells[:, 4] >= min_score)  # a score is objectness × class, so never above it
        all_corners, all_strides = _cells(height, width)
        cells, grid, stride = cells[likely], all_corners[likely], all_strides[likely]
        by_class = cells[:, 4:5] * cells[:, 5:]
        labels = by_class.argmax(axis=1)
        scores = by_class[np.arange(len(labels)), labels]
        best = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
        best = best[scores[best] >= min_score]
        cells, grid, stride = cells[best], grid[best], stride[best]
        centre = (cells[:, 0:2] + grid) * stride
        half = np.exp(np.minimum(cells[:, 2:4], 20.0)) * stride / 2
        return np.concatenate([centre - half, centre + half], axis=1), scores[best], labels[best]


def letterbox(bgr: Pixels, side: int) -> tuple[Pixels, float]:
    """Scale a picture to a long side of ``side``, at the top left of a grey canvas; return it and the scale.

    The canvas is as small as the network takes: what lies beyond the picture costs as much as the picture.
    """
    height, width = bgr.shape[:2]
    ratio = side / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    canvas: Pixels = np.full((_stepped(size[1]), _stepped(size[0]), 3), PAD, dtype=np.uint8)
    canvas[: size[1], : size[0]] = bgr if size == (width, height) else cv2.resize(bgr, size, interpolation=how)
    return canvas, ratio


def _stepped(length: int) -> int:
    """Round up to what the coarsest cells cover."""
    return -(-length // STRIDES[-1]) * STRIDES[-1]


def _planes(canvas: Pixels) -> FloatArray:
    """BGR [h, w, 3] as float32 [1, 3, h, w]."""
    planes = np.empty((1, 3, *canvas.shape[:2]), dtype=np.float32)
    for channel, plane in enumerate(cv2.split(canvas)):
        planes[0, channel] = plane
    return planes


def non_maximum_suppression(boxes: FloatArray, scores: FloatArray, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices that stay, best first: of boxes of one class that overlap, only the best."""
    if len(scores) == 0:
        return np.empty(0, dtype=np.int64)
    corners_and_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(corners_and_sizes.tolist(), scores.tolist(), labels.tolist(), 0.0, NMS_IOU)
    indices = np.asarray(kept, dtype=np.int64).reshape(-1)
    return indices[np.argsort(-scores[indices], kind="stable")][:MOST_OBJECTS]


@lru_cache(maxsize=32)
def _cells(height: int, width: int) -> tuple[FloatArray, FloatArray]:
    """The corner [n, 2] and the stride [n, 1] of every cell, in the order of the network's output."""
    grids, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        grids.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(strides).astype(np.float32)

"""Faces in a picture by MTCNN: a pyramid of small proposals (P-Net), refined twice (R-Net, O-Net).

Method: Zhang et al. 2016, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional
Networks", arXiv:1604.02878. It finds the same faces as facenet-pytorch 2.5.3 (Tim Esler, MIT): its roundings, +1
conventions and order of steps are kept where they change a result; benchmarks/mtcnn.py compares the two.

The reference spends most of its time in resizing. Its resize is a mean over whole pixels, so one integral image
of the picture gives every level of the pyramid, and all crops of a batch at once, by a few gathers.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from stageline.inference import FloatArray, Network

IntArray = npt.NDArray[np.intp]

CELL, STRIDE = 12, 2  # pixels of a level: the side of one P-Net decision, and the distance between two
BLOCK = 256  # boxes compared at a time, which bounds the memory of suppression


@dataclass(frozen=True, slots=True)
class Face:
    """One face, in pixels of the picture; box and landmarks may reach beyond its edges.

    `box` is (x1, y1, x2, y2), `score` 0..1, `landmarks` are (x, y) of the left and right eye as seen in the
    picture, the nose, the left and the right corner of the mouth.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: tuple[tuple[float, float], ...]


class Areas:
    """Means over rectangles of one picture, from its integral image (16 bytes per pixel)."""

    def __init__(self, bgr: npt.NDArray[np.uint8]) -> None:
        """Sum up `bgr`, uint8 [h, w, 3]. Sums may wrap around beyond 8 megapixels; their differences do not."""
        self.height, self.width = bgr.shape[:2]
        # Four channels, because numpy gathers 16 bytes at once, but 12 bytes one by one.
        self._sums = cv2.integral(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA), sdepth=cv2.CV_32S).reshape(-1, 4)

    def means(self, boxes: IntArray, height: int, width: int) -> FloatArray:
        """Resize each of `boxes`, int [n, 4] of x1, y1, x2, y2 in the picture, to RGB 0..255 [n, 3, height, width]."""
        left, right = _spans(boxes[:, 0], boxes[:, 2], width)
        top, bottom = _spans(boxes[:, 1], boxes[:, 3], height)
        line = self.width + 1
        upper, lower = top[:, :, None] * line, bottom[:, :, None] * line
        sums = self._sums.take(lower + right[:, None, :], axis=0, mode="clip")
        sums -= self._sums.take(lower + left[:, None, :], axis=0, mode="clip")
        sums -= self._sums.take(upper + right[:, None, :], axis=0, mode="clip")
        sums += self._sums.take(upper + left[:, None, :], axis=0, mode="clip")
        result = np.empty((len(boxes), 3, height, width), np.float32)
        for channel in range(3):
            result[:, channel] = sums[..., channel]
        rows, columns = (1 / (bottom - top)).astype(np.float32), (1 / (right - left)).astype(np.float32)
        result *= (rows[:, :, None] * columns[:, None, :])[:, None]
        return result


def _spans(start: IntArray, end: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """Split each start..end into `count` spans of whole pixels, which overlap where they do not divide evenly."""
    steps, size = np.arange(count), (end - start)[..., None]
    return start[..., None] + steps * size // count, start[..., None] - (-(steps + 1) * size // count)


def _overlaps(some: FloatArray, others: FloatArray, plus: int) -> FloatArray:
    """Compare boxes [n, 4] with [m, 4]: intersection over union, or, with `plus` 1, over the smaller of the two."""
    a, b = some.T[:, :, None], others.T[:, None, :]
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]) + plus
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]) + plus
    inner = np.maximum(width, 0) * np.maximum(height, 0)
    area_a, area_b = (a[2] - a[0] + plus) * (a[3] - a[1] + plus), (b[2] - b[0] + plus) * (b[3] - b[1] + plus)
    shared: FloatArray = inner / (np.minimum(area_a, area_b) if plus else area_a + area_b - inner)
    return shared


def suppress(boxes: FloatArray, scores: FloatArray, limit: float, plus: int = 0) -> IntArray:
    """Return the indices of the boxes [n, 4] that no better one overlaps by more than `limit`, best first.

    With `plus` 0 this is torchvision's nms; with 1, for the last step, sides are counted in pixels
    (x2 - x1 + 1) and the overlap is relative to the smaller box.
    """
    if len(scores) <= 1:
        return np.arange(len(scores))
    order = np.argsort(-scores, kind="stable")
    kept: list[IntArray] = []
    while order.size:
        head, order = order[:BLOCK], order[BLOCK:]
        worse = np.triu(_overlaps(boxes[head], boxes[head], plus) > limit, 1)
        alive = np.ones(len(head), np.bool_)
        for index in np.flatnonzero(worse.any(axis=1)).tolist():
            if alive[index]:
                alive &= ~worse[index]
        kept.append(head[alive])
        if order.size:
            order = order[~(_overlaps(boxes[kept[-1]], boxes[order], plus) > limit).any(axis=0)]
    return np.concatenate(kept)


def _square(boxes: FloatArray) -> FloatArray:
    """Grow boxes [n, 4] about their centres into squares of their longer side."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True, initial=0)
    corner = boxes[:, :2] + size * np.float32(0.5) - side * np.float32(0.5)
    return np.concatenate([corner, corner + side], axis=1)


def _moved(boxes: FloatArray, offsets: FloatArray, plus: int) -> FloatArray:
    """Move each edge of boxes [n, 4] by its offset [n, 4], relative to the box's width or height."""
    size = boxes[:, 2:] - boxes[:, :2] + np.float32(plus)
    moved: FloatArray = boxes + offsets * np.concatenate([size, size], axis=1)
    return moved


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.float32(1) / (np.float32(1) + np.exp(-logits))


class FaceDetector:
    """MTCNN over three networks made by models/mtcnn.py; stateless between pictures."""

    def __init__(
        self,
        pnet: Network,
        rnet: Network,
        onet: Network,
        min_face: int = 40,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        factor: float = 0.709,
        batch: int = 32,
    ) -> None:
        """Find faces of at least `min_face` pixels, on levels each `factor` times the size of the one before.

        `thresholds` are the least scores after P-, R- and O-Net. At most `batch` crops are in memory at a time:
        with 32 R-Net's layers fit into a core's cache.
        """
        if min_face < 1 or not 0 < factor < 1 or not all(0 < t < 1 for t in thresholds) or batch < 1:
            raise ValueError("min_face and batch must be at least 1, factor and thresholds between 0 and 1")
        self._pnet, self._rnet, self._onet = pnet, rnet, onet
        self._min_face, self._thresholds, self._factor, self._batch = min_face, thresholds, factor, batch
        # The first threshold as a float32 logit: most cells then need no sigmoid.
        self._least_logit = np.float32(math.log(thresholds[0] / (1 - thresholds[0])))

    def detect(self, bgr: npt.NDArray[np.uint8]) -> list[Face]:
        """Find the faces in a picture, uint8 [h, w, 3], BGR; best score first, none in an empty picture.

        Raises ValueError for another dtype or shape, ModelError when a network does not fit.
        """
        if bgr.dtype != np.uint8 or bgr.shape[2:] != (3,):
            raise ValueError(f"a picture is uint8 [h, w, 3], not {bgr.dtype} {list(bgr.shape)}")
        scales = self._scales(*bgr.shape[:2])
        if not scales:
            return []
        areas = Areas(np.ascontiguousarray(bgr))
        with np.errstate(all="ignore"):  # boxes without area divide 0 by 0, large logits overflow: both intended
            boxes = self._refined(areas, self._proposed(areas, scales))
            return self._final(areas, boxes)

    def _scales(self, height: int, width: int) -> list[float]:
        """Return the levels' scales, down to a shorter side of one cell."""
        scale = CELL / self._min_face
        shorter, scales = min(height, width) * scale, []
        while shorter >= CELL:
            scales.append(scale)
            scale, shorter = scale * self._factor, shorter * self._factor
        return scales

    def _proposed(self, areas: Areas, scales: list[float]) -> FloatArray:
        """First step: squares [n, 4] from all levels."""
        found = [self._on_level(areas, scale) for scale in scales]
        boxes, scores, offsets = (np.concatenate(part) for part in zip(*found, strict=True))
        picks = suppress(boxes, scores, 0.7)
        return _square(_moved(boxes[picks], offsets[picks], plus=0))

    def _on_level(self, areas: Areas, scale: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Run P-Net on one level: boxes [n, 4], scores [n] and offsets [n, 4] of its cells that may be faces."""
        whole = np.array([[0, 0, areas.width, areas.height]])
        level = areas.means(whole, int(areas.height * scale + 1), int(areas.width * scale + 1))
        (findings,) = self._pnet.run(level)
        columns = findings.shape[3]
        findings = findings.reshape(5, -1)
        cells = np.flatnonzero(findings[0] >= self._least_logit)
        found = findings[:, cells]
        corner = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32) * STRIDE + 1
        boxes = np.floor(np.concatenate([corner, corner + (CELL - 1)], axis=1) / np.float32(scale))
        scores = _sigmoid(found[0])
        picks = suppress(boxes, scores, 0.5)
        return boxes[picks], scores[picks], found[1:, picks].T

    def _looked_at(
        self, areas: Areas, network: Network, side: int, boxes: FloatArray, least: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Run `network` on boxes [n, 4]; return those with a score above `least`, their scores and other outputs."""
        whole = boxes.astype(np.intp)
        low = np.maximum(whole[:, :2], 1) - 1  # the reference counts pixels from 1
        high = np.minimum(whole[:, 2:], [areas.width, areas.height])
        inside = (high > low).all(axis=1)  # a box outside has no pixels; the reference fails on it
        boxes, whole = boxes[inside], np.concatenate([low, high], axis=1)[inside]
        starts = range(0, max(len(whole), 1), self._batch)
        batches = [network.run(areas.means(whole[at : at + self._batch], side, side))[0] for at in starts if len(whole)]
        findings = np.concatenate(batches) if batches else np.empty((0, 15), np.float32)
        scores = _sigmoid(findings[:, 0])
        good = scores > least
        return boxes[good], scores[good], findings[good, 1:]

    def _refined(self, areas: Areas, boxes: FloatArray) -> FloatArray:
        """Second step: the squares [n, 4] that R-Net takes for faces, moved by its offsets."""
        boxes, scores, found = self._looked_at(areas, self._rnet, 24, boxes, self._thresholds[1])
        picks = suppress(boxes, scores, 0.7)
        return _square(_moved(boxes[picks], found[picks, :4], plus=1))

    def _final(self, areas: Areas, boxes: FloatArray) -> list[Face]:
        """Third step: O-Net's faces."""
        boxes, scores, found = self._looked_at(areas, self._onet, 48, boxes, self._thresholds[2])
        size = boxes[:, 2:] - boxes[:, :2] + 1
        points = found[:, 4:].reshape(-1, 2, 5).transpose(0, 2, 1) * size[:, None] + boxes[:, None, :2] - 1
        boxes = _moved(boxes, found[:, :4], plus=1)
        picks = suppress(boxes, scores, 0.7, plus=1)
        rows = zip(boxes[picks].tolist(), scores[picks].tolist(), points[picks].tolist(), strict=True)
        return [Face((b[0], b[1], b[2], b[3]), score, tuple((x, y) for x, y in marks)) for b, score, marks in rows]

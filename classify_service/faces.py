"""Upright crops of faces, and their embeddings: 512 numbers that are close for two pictures of one person.

Method: Schroff et al. 2015, "FaceNet: A Unified Embedding for Face Recognition and Clustering", arXiv:1503.03832; the
network is facenet-pytorch's InceptionResnetV1, with crops as facenet-pytorch's `extract_face` makes them.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from classify_service.networks import CropNetwork
from stageline.core.settings import Settings
from stageline.imaging.codec import Pixels
from stageline.inference import FloatArray
from stageline.inference.model_input import resized
from stageline.registry.card import ModelFiles

EMBEDDING = 512
FIVE = 5  # landmarks: the left and the right eye as seen in the picture, the nose, the mouth's corners
MIN_APART = 1.0  # pixels: closer landmarks give no angle
DETAIL = 4  # a face is turned at no more than this many times its final size
Span = tuple[int, int, int, int]  # x1, y1, x2, y2 in whole pixels


class FaceEmbedder:
    """A network that embeds faces; stateless between calls."""

    def __init__(self, model: ModelFiles, settings: Settings) -> None:
        """Open the network, and check that it outputs 512 numbers.

        Raises:
            ModelError: the outputs differ, or the model embeds no faces.
        """
        self.network = CropNetwork(model, "face-embedding", EMBEDDING, settings)

    def embed(self, faces: Sequence[Pixels]) -> FloatArray:
        """Return embeddings, float32 [n, 512], each of length 1, for faces, BGR uint8, cropped by `aligned`.

        Raises:
            ModelError: the outputs of the network do not match its card.
        """
        found = self.network.run(faces)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def load_embedder(model: ModelFiles, settings: Settings) -> FaceEmbedder:
    """Open a network that embeds faces, and run it once; see `FaceEmbedder`."""
    return FaceEmbedder(model, settings)


def aligned(bgr: Pixels, box: Span, landmarks: Sequence[Sequence[float]] | None, size: tuple[int, int]) -> Pixels:
    """Turn a face about its box's centre until its eyes are level, and cut the box out, at (height, width).

    Width and height are resized separately, so that a level face gives the same crop as facenet-pytorch's
    `extract_face` (margin 0). As there, a box ends at the edge of the picture. The corners of a turned box beyond that
    edge repeat its pixels, which adds no false outline.

    Args:
        bgr: uint8 [h, w, 3].
        box: within the picture, with an area.
        landmarks: see `tilt`, in pixels of `bgr`.
        size: height and width of the result.
    """
    angle = tilt(landmarks)
    left, top, right, bottom = box
    face = bgr[top:bottom, left:right] if angle == 0 else _turned(bgr, box, angle, DETAIL * max(size))
    return np.array(resized(face, size[1], size[0]))  # a view would keep the whole picture in memory


def tilt(landmarks: Sequence[Sequence[float]] | None) -> float:
    """Return the angle by which a face leans clockwise, in radians; 0 where its landmarks give none.

    Args:
        landmarks: points [x, y]: the eyes, nose and mouth's corners as MTCNN gives them, or the eyes alone. The eyes
            may come in either order: the mouth decides, and without a mouth no face stands on its head. In a profile
            the eyes nearly coincide: then the line from them to the mouth gives the angle.
    """
    points = np.asarray(landmarks or [], np.float64)
    if len(points) not in (2, FIVE):
        return 0.0
    across = points[1] - points[0]
    if len(points) == FIVE:
        x, y = points[3:].mean(axis=0) - points[:2].mean(axis=0)
        level = np.array([y, -x])  # where the right eye is, seen from the left one, if the mouth is straight below
        across = across if across @ level >= 0 else -across
        if np.hypot(*across) < np.hypot(*level) / 2:
            across = level
    elif across[0] < 0:
        across = -across
    return math.atan2(across[1], across[0]) if np.hypot(*across) >= MIN_APART else 0.0


def _turned(bgr: Pixels, box: Span, angle: float, most: int) -> Pixels:
    """Return the content of the box, turned back by the angle about its centre, with sides up to `most`."""
    left, top, right, bottom = box
    middle = np.array([left + right - 1, top + bottom - 1]) / 2  # OpenCV counts from a pixel's centre
    reach = math.ceil(math.hypot(right - left, bottom - top) / 2) + 2
    first = np.maximum(0, np.floor(middle).astype(int) - reach)
    around = bgr[first[1] : math.ceil(middle[1]) + reach + 1, first[0] : math.ceil(middle[0]) + reach + 1]
    factor = min(1.0, most / max(right - left, bottom - top))
    near = resized(around, max(1, round(around.shape[1] * factor)), max(1, round(around.shape[0] * factor)))
    width, height = max(1, round((right - left) * factor)), max(1, round((bottom - top) * factor))
    centre = (middle - first + 0.5) * (near.shape[1] / around.shape[1], near.shape[0] / around.shape[0]) - 0.5
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shift = centre - turn @ (np.array([width - 1, height - 1]) / 2)
    turned = cv2.warpAffine(
        near,
        np.column_stack([turn, shift]),  # from the result to the picture
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(turned, dtype=np.uint8)

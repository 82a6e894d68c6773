"""Faces: cut as facenet-pytorch cuts them, turned upright, and embedded as 512 numbers of length 1."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from classify_service.crops import Span, parts
from classify_service.faces import aligned, load_embedder
from stageline.inference.model_input import as_array
from tests.support.face_cases import FACES, SETTINGS, SIDE, Pixels, leaning, read
from tests.support.places import missing
from tests.support.tiny_embedder import cells


def whole(box: list[float], bgr: Pixels) -> Span:
    """The box in whole pixels of the picture, as the stage has it."""
    ((_, span),) = parts([{"box": box, "score": 1}], bgr.shape[1], bgr.shape[0])
    return span


def test_an_upright_face_is_the_box(data_dir: Path) -> None:
    """With level eyes nothing is turned, and the crop is the box, each side resized by itself."""
    for name, box, _ in FACES:
        bgr = read(data_dir, name)
        left, top, right, bottom = whole(box, bgr)
        level = [[left + x * (right - left), top + y * (bottom - top)] for x, y in ((0.3, 0.4), (0.7, 0.4))]
        how = cv2.INTER_AREA if right - left > 160 else cv2.INTER_LINEAR
        expected = cv2.resize(bgr[top:bottom, left:right], SIDE, interpolation=how)
        np.testing.assert_array_equal(aligned(bgr, (left, top, right, bottom), level, SIDE), expected)


def test_an_upright_face_is_what_facenet_pytorch_cuts(data_dir: Path) -> None:
    """`extract_face` of facenet-pytorch cuts the same pixels: to the bit where it averages as we do (arrays), and
    much nearer than a pixel's shift, where Pillow resizes. So it is what FaceNet is given, standardised.
    """
    try:
        from facenet_pytorch.models.mtcnn import fixed_image_standardization
        from facenet_pytorch.models.utils.detect_face import extract_face
    except ImportError as error:
        missing(f"{error}: the comparison needs facenet-pytorch (`make test TRAIN=1`)")
    from PIL import Image

    network = load_embedder(cells(), SETTINGS).network
    for name, box, _ in FACES:
        bgr = read(data_dir, name)
        rgb = np.ascontiguousarray(bgr[:, :, ::-1])
        ours = as_array([aligned(bgr, whole(box, bgr), None, SIDE)], network.card.input)[0]
        of_array, of_image = (
            fixed_image_standardization(extract_face(picture, box)).numpy() for picture in (rgb, Image.fromarray(rgb))
        )
        if box[2] - box[0] > 160:
            np.testing.assert_allclose(ours, of_array, atol=1e-6)
        shifted = np.abs(np.roll(of_image, 1, axis=2) - of_image).mean()
        assert np.abs(ours - of_image).mean() < 0.25 * shifted, name


@pytest.mark.parametrize("degrees", [-30, -5, 12, 45])
def test_a_leaning_face_is_turned_upright(degrees: float, data_dir: Path) -> None:
    """A picture that was turned gives, by its landmarks, nearly the crop of the picture as it was; and without, not."""
    name, box, points = FACES[0]
    bgr = read(data_dir, name)
    span = whole(box, bgr)
    upright = aligned(bgr, span, points, SIDE).astype(int)
    centre = ((span[0] + span[2] - 1) / 2, (span[1] + span[3] - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, -degrees, 1.0)  # OpenCV turns the other way
    turned = np.asarray(cv2.warpAffine(bgr, turn, (bgr.shape[1], bgr.shape[0]), flags=cv2.INTER_LINEAR), np.uint8)
    their_points = leaning(points, math.radians(degrees), centre)
    found = aligned(turned, span, their_points, SIDE).astype(int)
    assert np.abs(found - upright).mean() < 1.5
    assert np.abs(aligned(turned, span, None, SIDE).astype(int) - upright).mean() > 5


def test_a_leaning_face_is_level_afterwards(data_dir: Path) -> None:
    """The eyes of the fourth face, a line of 14 degrees, lie on one row of its crop: marked there, they are found."""
    name, box, points = FACES[3]
    bgr = np.zeros_like(read(data_dir, name))
    for x, y in points[:2]:
        cv2.circle(bgr, (round(x), round(y)), 2, (255, 255, 255), -1)
    crop = aligned(bgr, whole(box, bgr), points, SIDE)
    rows, columns = np.nonzero(crop[:, :, 0] > 100)
    left, right = rows[columns < 80], rows[columns >= 80]
    assert len(left) > 5
    assert abs(left.mean() - right.mean()) < 2

"""Faces: cut as facenet-pytorch cuts them, turned upright, and embedded as 512 numbers of length 1."""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from classify_service.crops import Span, parts
from classify_service.faces import EMBEDDING, aligned, load_embedder, tilt
from classify_service.networks import MOST_AT_ONCE
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.inference.model_input import as_array
from tests.conftest import missing
from tests.tiny_embedder import by_hand, cells

Pixels = NDArray[np.uint8]
Points = list[list[float]]
SETTINGS = Settings(device="cpu", inference_precision="float32")
SIDE = (160, 160)
LEVEL: Points = [[40, 50], [80, 50], [60, 70], [45, 90], [75, 90]]
# Faces in the folder faces/, as MTCNN finds them: large, larger, small and level, small and leaning by 14 degrees.
# fmt: off
FACES: list[tuple[str, list[float], Points]] = [
    ("kate_siegel.jpg", [540.0, 106.1, 763.7, 416.7],
     [[599.1, 232.3], [708.1, 235.7], [647.7, 286.3], [599.9, 340.8], [694.7, 343.2]]),
    ("paul_rudd.jpg", [249.1, 279.4, 1332.6, 1790.6],
     [[531.2, 899.7], [1042.7, 895.5], [795.3, 1231.2], [597.3, 1452.2], [1010.1, 1447.3]]),
    ("multiface.jpg", [621.0, 197.1, 695.4, 297.1],
     [[640.0, 237.9], [676.7, 238.6], [656.5, 260.8], [639.7, 269.9], [676.6, 270.7]]),
    ("multiface.jpg", [226.3, 251.1, 302.8, 353.9],
     [[245.9, 294.5], [281.7, 285.8], [270.3, 315.6], [254.1, 328.2], [291.5, 319.1]]),
]
# fmt: on


def noise(height: int, width: int, seed: int = 7) -> Pixels:
    """BGR, uint8 [height, width, 3], every pixel another."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def read(folder: Path, name: str) -> Pixels:
    """A picture of the folder faces/, BGR, uint8 [h, w, 3]."""
    return codec.decode((folder / "faces" / name).read_bytes(), 50_000_000)[0]


def whole(box: list[float], bgr: Pixels) -> Span:
    """The box in whole pixels of the picture, as the stage has it."""
    ((_, span),) = parts([{"box": box, "score": 1}], bgr.shape[1], bgr.shape[0])
    return span


def leaning(points: Points, angle: float, centre: tuple[float, float]) -> Points:
    """The points, turned clockwise, as a picture is seen, about the centre."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return ((np.array(points) - centre) @ turn.T + centre).tolist()


@pytest.mark.parametrize("degrees", [0, 1, -7, 30, 89, 120, 180, -135])
def test_the_lean_is_that_of_the_eyes(degrees: float) -> None:
    """Whichever eye comes first, with a mouth to go by; of eyes alone, none is taken to stand on its head."""
    points = leaning(LEVEL, math.radians(degrees), (60, 70))
    swapped = [points[1], points[0], points[2], points[4], points[3]]
    for five in (points, swapped):
        assert math.remainder(tilt(five) - math.radians(degrees), math.tau) == pytest.approx(0, abs=1e-9)
    for two in (points[:2], swapped[:2]):
        assert math.remainder(tilt(two) - math.radians(degrees), math.pi) == pytest.approx(0, abs=1e-9)
        assert abs(tilt(two)) <= math.pi / 2


def test_a_profile_is_levelled_by_its_mouth() -> None:
    """Where the eyes nearly coincide, their line says nothing: a pixel's error would turn the face by a right angle."""
    profile = [[60.0, 50.0], [61.0, 54.0], [45, 70], [58, 90], [61, 90]]
    assert math.degrees(tilt(leaning(profile, math.radians(20), (60, 70)))) == pytest.approx(20, abs=2)


@pytest.mark.parametrize("points", [None, [], [[1, 1]], LEVEL[:3], [*LEVEL, [1, 1]], [[50, 50]] * 5, [[50, 50]] * 2])
def test_landmarks_that_do_not_tell_turn_nothing(points: Points | None) -> None:
    """None, too few, too many, or all in one place: the box is cut out as it is."""
    picture = noise(120, 140)
    assert tilt(points) == 0.0
    cut = picture[20:110, 30:90]
    np.testing.assert_array_equal(aligned(picture, (30, 20, 90, 110), points, (90, 60)), cut)


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


@pytest.mark.parametrize("box", [(0, 0, 60, 70), (240, 0, 300, 50), (0, 130, 90, 200), (250, 140, 300, 200)])
@pytest.mark.parametrize("degrees", [0, 25, -70, 180])
def test_a_face_at_the_border_gets_no_outline(box: Span, degrees: float) -> None:
    """What a turned box has beyond the picture repeats its edge: on a plain wall, only wall is seen."""
    points = leaning([[20, 30], [40, 30]], math.radians(degrees), (30, 35))
    wall = np.full((200, 300, 3), 77, np.uint8)
    assert (aligned(wall, box, points, SIDE) == 77).all()
    picture = noise(200, 300)
    assert aligned(picture, box, points, SIDE).shape == (160, 160, 3)


@pytest.mark.parametrize(("shape", "box"), [
    ((3, 3), (1, 1, 2, 2)), ((40, 65_000), (0, 0, 65_000, 40)), ((65_000, 40), (3, 10, 7, 64_000)),
    ((4000, 6000), (0, 0, 6000, 4000)), ((1, 1), (0, 0, 1, 1)),
])  # fmt: skip
def test_faces_of_any_size_are_turned(shape: tuple[int, int], box: Span) -> None:
    """One pixel, a line of 65 000 (OpenCV turns no more than 32 767 at a time), a whole photograph."""
    picture = np.full((*shape, 3), 200, np.uint8)
    crop = aligned(picture, box, [[0, 0], [10, 5]], SIDE)
    assert (crop.shape, int(crop.min()), int(crop.max())) == ((160, 160, 3), 200, 200)
    assert not np.shares_memory(crop, picture)


def test_embeddings_are_512_numbers_of_length_one() -> None:
    """What can be computed by hand, in RGB and standardised as FaceNet's card says; together as one by one."""
    faces = [noise(160, 160, seed) for seed in range(MOST_AT_ONCE + 3)]
    embedder = load_embedder(cells(), SETTINGS)
    together = embedder.embed(faces)
    assert (together.shape, together.dtype) == ((len(faces), EMBEDDING), np.float32)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(together, [by_hand(face) for face in faces], atol=1e-5)
    np.testing.assert_allclose(together, np.concatenate([embedder.embed([face]) for face in faces]), atol=1e-6)


def test_an_embedding_without_length_stays_finite() -> None:
    """A network that says nothing of a face, all zeros, gives zeros, and no division by them."""
    embedder = load_embedder(cells(input={"shape": ["batch", 3, 160, 160]}), SETTINGS)
    assert (embedder.embed([np.zeros((160, 160, 3), np.uint8)]) == 0).all()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            lambda: cells(1),
            r"facenet-vggface2@1/model\.onnx gives \[1, 256\] for 1 crops; by its card it is \[1, 512\]",
        ),
        (lambda: cells(task="classification", labels=["a"]), "is for classification"),
        (lambda: cells(input={"shape": ["batch", 3, 112, 112]}), "112, 112"),
    ],
)
def test_what_is_no_facenet_is_refused(model: Any, says: str) -> None:
    """Other numbers of outputs, another task, another input: a sentence, before it serves."""
    with pytest.raises(ModelError, match=says):
        load_embedder(model(), SETTINGS)

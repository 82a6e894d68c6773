"""Faces: cut as facenet-pytorch cuts them, turned upright, and embedded as 512 numbers of length 1."""

import math
from typing import Any

import numpy as np
import pytest

from classify_service.crops import Span
from classify_service.faces import EMBEDDING, aligned, load_embedder, tilt
from classify_service.networks import BATCH_SIZE
from stageline.core.errors import ModelError
from tests.support.face_cases import SETTINGS, SIDE, Pixels, Points, leaning
from tests.support.tiny_embedder import by_hand, cells

LEVEL: Points = [[40, 50], [80, 50], [60, 70], [45, 90], [75, 90]]


def noise(height: int, width: int, seed: int = 7) -> Pixels:
    """BGR, uint8 [height, width, 3], every pixel another."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


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
def test_landmarks_that_say_nothing_turn_nothing(points: Points | None) -> None:
    """None, too few, too many, or all in one place: the box is cut out as it is."""
    picture = noise(120, 140)
    assert tilt(points) == 0.0
    cut = picture[20:110, 30:90]
    np.testing.assert_array_equal(aligned(picture, (30, 20, 90, 110), points, (90, 60)), cut)


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
    faces = [noise(160, 160, seed) for seed in range(BATCH_SIZE + 3)]
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

"""BLUR_HEADS: what the privacy copy hides of a person whose face was not found."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stageline.core import settings
from stageline.core.errors import SettingsError
from stageline.core.settings import Settings
from stageline.imaging import codec
from stageline.pipeline.message import Message
from stageline.pipeline.stage import Task
from tag_service.blur import blur_regions, regions_to_hide
from tag_service.heads import Reach, head_regions
from tag_service.service import create

Pixels = NDArray[np.uint8]

STANDING = [100.0, 50.0, 180.0, 250.0]  # 80 × 200 pixels
HUGE, INF, NAN = 1e300, float("inf"), float("nan")
NOBODY: dict[str, Any] = {"faces": [], "detections": []}


def person(box: list[float], label: str = "person") -> dict[str, Any]:
    """A detection as it is on the wire."""
    return {"label": label, "score": 0.9, "box": box}


def face(x: float, y: float, side: float) -> dict[str, Any]:
    """A face as it is on the wire, around a point."""
    return {"score": 0.99, "box": [x - side / 2, y - side / 2, x + side / 2, y + side / 2], "landmarks": []}


def noise(height: int, width: int) -> Pixels:
    """A picture, uint8 [height, width, 3], whose every pixel differs from its neighbours."""
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def inside(box: list[float], region: list[float]) -> bool:
    """Whether all of a box lies in a region."""
    return region[0] <= box[0] and region[1] <= box[1] and region[2] >= box[2] and region[3] >= box[3]


def test_the_head_of_a_person_without_a_face_is_hidden() -> None:
    """The head at the top of the box is, wherever between the shoulders, and hair above it; legs are not."""
    (region,) = regions_to_hide([person(STANDING)], [], ["face"], heads=True)
    for left in (100.0, 125.0, 150.0):
        assert inside([left, 45.0, left + 30, 85.0], region)
    assert region[3] < 150
    assert (region[0], region[2]) == (STANDING[0], STANDING[2])


def test_without_the_option_only_faces_are_hidden() -> None:
    """BLUR_HEADS is off by default."""
    assert Settings().blur_heads is False
    assert regions_to_hide([person(STANDING)], [], ["face", "car"]) == []


def test_a_person_with_a_face_is_hidden_by_the_face_alone() -> None:
    """A face in the upper part of a person's box is that person's: the head is hidden by the face's own margins."""
    seen = [face(140, 75, 25)]
    plain = regions_to_hide([person(STANDING)], seen, ["face"])
    assert len(plain) == 1
    assert regions_to_hide([person(STANDING)], seen, ["face"], heads=True) == plain


@pytest.mark.parametrize(
    "other", [face(140, 200, 25), face(140, 75, 5), face(300, 75, 25)], ids=["at the knees", "far behind", "beside"]
)
def test_the_face_of_somebody_else_does_not_count(other: dict[str, Any]) -> None:
    """A child in front of the legs, a small face behind the shoulder, a neighbour: the person's own head is hidden."""
    assert len(regions_to_hide([person(STANDING)], [other], ["face"], heads=True)) == 2


def test_a_face_is_that_of_one_person() -> None:
    """Of two persons whose boxes overlap, one face leaves one head to hide: that of the one it fits less well."""
    child = [110.0, 60.0, 150.0, 140.0]
    regions = head_regions([STANDING, child], [[120.0, 62.0, 140.0, 82.0]])
    assert regions == head_regions([STANDING], [])
    assert len(head_regions([STANDING, child], [[120, 62, 140, 82], [115, 60, 135, 80]])) == 0


def test_the_wider_a_box_the_more_of_it_is_hidden() -> None:
    """Of a person who lies, the head may be at either end and at any height: all of the box is hidden."""
    lying = [10.0, 100.0, 310.0, 180.0]
    assert inside(lying, head_regions([lying], [])[0])
    heights = [head_regions([[0.0, 0.0, wide, 100.0]], [])[0][3] for wide in (30.0, 60.0, 120.0, 240.0)]
    assert heights == sorted(set(heights))


def test_a_reach_of_ones_own_is_kept_to() -> None:
    """The shares are of the box's height and width; never more than the whole box is hidden downwards."""
    assert head_regions([STANDING], [], Reach(0.1, 0.25, 0.05)) == [[100.0, 40.0, 180.0, 90.0]]
    assert head_regions([STANDING], [], Reach(0.9, 0.9, 0.0)) == [STANDING]


def test_other_labels_have_no_head() -> None:
    """A dog's or a car's box hides nothing; the label's case does not matter."""
    assert regions_to_hide([person(STANDING, "dog"), person(STANDING, "car")], [], ["face"], heads=True) == []
    assert len(regions_to_hide([person(STANDING, "Person")], [], ["face"], heads=True)) == 1


@pytest.mark.parametrize(
    "box",
    [
        [-HUGE, -HUGE, HUGE, HUGE], [HUGE, HUGE, HUGE, HUGE], [-INF, 0, INF, 9], [NAN, 0, 9, 9], [0, NAN, 9, NAN],
        [-50, -50, -10, -10], [3, 3, 3, 3], [20, 20, 5, 5], [0, 0, 0, 50], [0, 0, 50, 0],
    ],
)  # fmt: skip
def test_hostile_boxes_do_not_raise(box: list[float]) -> None:
    """Persons and faces of any box are survived."""
    regions = regions_to_hide([person(box)], [{"box": box}, face(9, 9, 4)], ["face"], heads=True)
    blur_regions(noise(64, 48), regions)


@pytest.mark.parametrize("edge", range(4))
@pytest.mark.parametrize("label", ["person", "car"])
def test_an_unknown_edge_hides_more(edge: int, label: str) -> None:
    """Whichever edge of a box is no number, the picture is hidden up to its own edge there, and not left to be seen."""
    picture, box = noise(200, 200), [50.0, 60.0, 150.0, 160.0]
    hidden = [*box[:2], 150.0, 80.0]
    box[edge] = NAN
    hidden[edge] = 0.0 if edge < 2 else 200.0
    blur_regions(picture, regions_to_hide([person(box, label)], [], ["car"], heads=True))
    x1, y1, x2, y2 = map(int, hidden)
    assert cv2.Laplacian(picture[y1:y2, x1:x2], cv2.CV_64F).var() < 60.0  # of the noise: some 110 000


@pytest.mark.parametrize("classes", ["face,car", "car", ","])
def test_the_copy_hides_heads_and_its_regions_say_so(classes: str) -> None:
    """With the option the person's upper part is smooth in blurred/, and in blurred_regions; the rest is as it was."""
    picture = cv2.resize(noise(40, 30), (300, 400), interpolation=cv2.INTER_NEAREST)
    png = cv2.imencode(".png", picture)[1].tobytes()
    fields = {"detections": [person(STANDING)], "faces": [face(250, 300, 40)]}
    message = Message.of({"image_id": "a", "original_path": "original/a.png", **fields})
    output = create(Settings(blur_classes=classes, blur_heads=True)).run_one(Task(message, {"original": png}))
    head, one_face = sorted(output.fields["blurred_regions"])
    assert inside([100.0, 45.0, 180.0, 85.0], head)
    assert inside([230.0, 280.0, 270.0, 320.0], one_face)  # heads include those whose face was found
    stored = {item.key: item.data for item in output.objects}
    copy, _ = codec.decode(stored["blurred/a.jpg"], 10**6)
    assert cv2.Laplacian(copy[45:85, 105:175], cv2.CV_64F).var() < 60.0
    assert np.abs(copy[180:].astype(int) - picture[180:])[:, :200].mean() < 10


@pytest.mark.parametrize(
    ("classes", "heads", "fields", "written"),
    [
        ("face", "true", {"faces": []}, False), ("face", "false", {"faces": []}, True),
        ("car", "true", {"detections": []}, False), ("car", "false", {"detections": []}, True),
        (",", "true", {"faces": []}, False), (",", "true", {"detections": []}, False), (",", "true", NOBODY, True),
        ("face", "true", {**NOBODY, "missing_models": ["yolox-nano"]}, False),
        ("face", "false", {**NOBODY, "missing_models": ["yolox-nano"]}, True),
        ("car", "true", {**NOBODY, "missing_models": ["mtcnn"]}, False),
        ("face,car", "true", {**NOBODY, "missing_models": ["facenet-vggface2"]}, True),
    ],
)  # fmt: skip
def test_no_copy_where_persons_or_faces_were_not_looked_for(
    classes: str, heads: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """BLUR_HEADS needs both detectors, whatever BLUR_CLASSES names: without one there is no copy that seems to hide."""
    monkeypatch.setenv("BLUR_CLASSES", classes)
    monkeypatch.setenv("BLUR_HEADS", heads)
    png = cv2.imencode(".png", noise(40, 30))[1].tobytes()
    message = Message.of({"image_id": "a", "original_path": "original/a.png", **fields})
    settings.load.cache_clear()
    output = create(settings.load()).run_one(Task(message, {"original": png}))
    assert ("blurred/a.jpg" in [item.key for item in output.objects]) == written
    assert (output.fields["blurred_path"] is not None) == written


def test_the_error_names_a_malformed_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """BLUR_HEADS is true or false."""
    monkeypatch.setenv("BLUR_HEADS", "perhaps")
    settings.load.cache_clear()
    with pytest.raises(SettingsError, match="BLUR_HEADS='perhaps'"):
        settings.load()

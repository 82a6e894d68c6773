"""The wiring of the tag stage: when there is a privacy copy, and when it would only pretend."""

from typing import Any

import pytest

from stageline.core.errors import SettingsError
from stageline.core.settings import Settings
from stageline.pipeline.message import Message
from stageline.pipeline.stage import Task
from tag_service.service import Tag, create
from tests.support.picture_makers import all_kinds

JPEG = all_kinds()["jpeg"]
BOTH: dict[str, Any] = {"faces": [], "detections": []}


@pytest.mark.parametrize(
    ("classes", "fields", "written"),
    [
        ("face,car", BOTH, True), ("face,car", {**BOTH, "missing_models": []}, True),
        ("face,car", {"faces": []}, False), ("face,car", {"detections": []}, False), ("face,car", {}, False),
        ("face,car", {**BOTH, "faces": None}, False), ("face", {"faces": []}, True), ("CAR", {"detections": []}, True),
        ("Face", {"detections": []}, False), ("car", {"faces": []}, False),
        ("FACE", {**BOTH, "missing_models": ["mtcnn"]}, False), ("car", {**BOTH, "missing_models": ["mtcnn"]}, True),
        ("car", {**BOTH, "missing_models": ["yolox-nano"]}, False),
        ("car", {**BOTH, "missing_models": ["facenet-vggface2", "resnet18-imagenet", "mine"]}, True),
        ("car", {**BOTH, "missing_models": ["detector-of-my-own"]}, False),
    ],
)  # fmt: skip
def test_no_privacy_copy_of_what_was_not_looked_at(classes: str, fields: dict[str, Any], *, written: bool) -> None:
    """What was to be hidden was looked for, or there is no copy that seems to hide it."""
    message = Message.of({"image_id": "a", "original_path": "original/a.jpg", **fields})
    settings = Settings(blur_classes=classes, classify_model="mine")
    output = create(settings).run_one(Task(message, {"original": JPEG}))
    assert ("blurred/a.jpg" in [stored.key for stored in output.objects]) == written
    assert (output.fields["blurred_path"] is not None) == written


@pytest.mark.parametrize(
    ("models", "classes", "missing"),
    [
        ({"detect_model": "resnet18-imagenet"}, "frog", "resnet18-imagenet"),
        ({"detect_model": "mine", "classify_model": "mine"}, "frog", "mine"),
        ({"detect_model": "mtcnn"}, "frog", "mtcnn"),
        ({"detect_model": "mtcnn"}, "face", "mtcnn"),
    ],
)
def test_the_model_set_as_the_detector_counts_as_one(models: dict[str, str], classes: str, missing: str) -> None:
    """Whatever else its name stands for: where it is missing, no copy seems to hide what it should have found."""
    message = Message.of({"image_id": "a", "original_path": "original/a.jpg", **BOTH, "missing_models": [missing]})
    work = Tag(Settings(blur_classes=classes, **models))
    output = work.run_one(Task(message, {"original": JPEG}))
    assert [stored.key for stored in output.objects] == ["tagged/a.jpg"]
    assert output.fields["blurred_path"] is None


def test_what_nothing_finds_cannot_be_hidden() -> None:
    """A word that no known detector has for anything stops the stage, unless the detector is one of somebody's own."""
    for word in ("cra", "frog", "automobile"):  # a classifier's categories are no boxes
        with pytest.raises(SettingsError, match=f"BLUR_CLASSES: nothing finds {word}"):
            create(Settings(blur_classes=f"face,{word}"))
    create(Settings(blur_classes="frog", detect_model="detector-of-my-own"))


def test_categories_are_drawn_on_the_tagged_picture_alone() -> None:
    """The category is written on the tagged picture, also if no object was found, and not on the blurred one."""
    message = Message.of({"image_id": "a", "original_path": "original/a.jpg", **BOTH})
    named = message.successor("classify", {}, {"categories": [{"category": "dog", "confidence": 0.9, "box": None}]})
    plain, marked = (create(Settings()).run_one(Task(one, {"original": JPEG})) for one in (message, named))
    assert [stored.key for stored in marked.objects] == ["tagged/a.jpg", "blurred/a.jpg"]
    assert marked.objects[0].data != plain.objects[0].data
    assert marked.objects[1].data == plain.objects[1].data


def test_candidates_and_guesses_are_drawn_nowhere() -> None:
    """What was looked at and not named leaves both pictures as they are, and travels on; so do ImageNet's five."""
    message = Message.of({"image_id": "a", "original_path": "original/a.jpg", **BOTH})
    unsure = {"category": "dog", "confidence": 0.9, "reason": "unsure"}
    candidates = [{**unsure, "box": None}, {**unsure, "box": [1.0, 1.0, 9.0, 9.0], "detected": "cat"}]
    guesses = [{"category": "tabby", "confidence": 0.99, "box": None}]
    looked = message.successor("classify", {}, {"categories": [], "candidates": candidates, "imagenet": guesses})
    plain, marked = (create(Settings()).run_one(Task(one, {"original": JPEG})) for one in (message, looked))
    assert [stored.data for stored in marked.objects] == [stored.data for stored in plain.objects]
    assert marked.fields.keys() & {"candidates", "imagenet"} == set(), "it would overwrite what the message says"

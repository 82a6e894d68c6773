"""The wiring of the tag stage: when there is a privacy copy, and when it would only pretend."""

from typing import Any

import pytest
from picture_makers import all_kinds

from stageline.message import Message
from stageline.settings import Settings
from stageline.stage import Task
from tag_service.service import create

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
    ],
)  # fmt: skip
def test_no_privacy_copy_of_what_was_not_looked_at(classes: str, fields: dict[str, Any], *, written: bool) -> None:
    """What was to be hidden was looked for, or there is no copy that seems to hide it."""
    message = Message.of({"image_id": "a", "original_path": "original/a.jpg", **fields})
    outcome = create(Settings(blur_classes=classes)).run_one(Task(message, {"original": JPEG}))
    assert ("blurred/a.jpg" in [stored.key for stored in outcome.objects]) == written
    assert (outcome.fields["blurred_path"] is not None) == written

"""The measurement of named categories: each way of naming is judged by the same labels."""

from typing import Any

from PIL import Image

from benchmarks.categories import ALONE, BOTH, DETECTOR, TEN, TRUSTED, ways
from classify_service.categories import load_classifier
from classify_service.naming import Rule
from stageline.registry.serving import Loaded
from tests.support.category_cases import LEFT, MAPPED, RIGHT, SETTINGS
from tests.support.classify_helpers import SCALE, found
from tests.support.picture_makers import encoded
from tests.support.tiny_models import colours

RULE = Rule(min_confidence=0.8, trusted_score=0.5)


def loaded(**more: Any) -> Loaded[Any]:
    """A colour classifier whose card maps two of the detector's labels."""
    model = colours(scale=SCALE, detector_labels=MAPPED, **more)
    return Loaded(model.card, load_classifier(model, SETTINGS))


def named(by: Loaded[Any], kind: str = "object") -> dict[str, list[tuple[str, Any]]]:
    """What each way names in a picture that is red and lime: a surely found apple, a broccoli at 0.4, a pizza."""
    picture = Image.new("RGB", (200, 100), "lime")
    picture.paste("red", (0, 0, 100, 100))
    detections = [found(LEFT, 0.9, label="apple"), found(RIGHT, 0.4, label="broccoli"), found(LEFT, 0.6, label="pizza")]
    fields = {"detections": detections, "kind": kind}
    said = ways(by, encoded(picture, "PNG"), fields, RULE, 1_000_000)
    return {way: [(item["category"], item["box"]) for item in items] for way, items in said.items()}


def test_each_way_names_what_it_would_name() -> None:
    """The detector all that is mapped, or what is trusted; the classifier all; the rule what both say."""
    found_by = named(loaded())
    assert found_by[DETECTOR] == [("red", LEFT), ("green", RIGHT), ("red", None)]
    assert found_by[TRUSTED] == [("red", LEFT), ("red", None)]
    objects = {way: [item for item in items if item[1]] for way, items in found_by.items()}
    assert objects[ALONE] == [("red", LEFT), ("green", RIGHT), ("red", LEFT)]
    assert objects[BOTH] == [("red", LEFT), ("green", RIGHT)]
    assert TEN not in found_by
    assert all(box for _, box in named(loaded(), kind="face")[BOTH])


def test_a_network_that_can_say_none_is_judged_without_it_too() -> None:
    """Where blue means none of these, red is red by either; what is none of them is named only without that answer."""
    found_by = named(loaded(labels=["red", "green", ""]))
    assert found_by[TEN] == found_by[BOTH]
    blue = encoded(Image.new("RGB", (200, 100), (60, 0, 255)), "PNG")
    fields: dict[str, Any] = {"detections": [found(LEFT, 0.4, label="apple")], "kind": "object"}
    said = ways(loaded(labels=["red", "green", ""]), blue, fields, RULE, 1_000_000)
    assert (said[BOTH], [item["category"] for item in said[TEN]]) == ([], ["red", "red"])

"""What is named and what stays a candidate: the rules of kind, of the detector's labels, and of "none of these"."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from classify_service.categories import load_classifier
from stageline.core.errors import BadMessage, ModelError
from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.registry import validation
from stageline.registry.repository import open_repository
from stageline.registry.serving import Served
from tests.support.classify_cases import BOTTOM_LEFT, TOP_LEFT, TOP_RIGHT
from tests.support.classify_helpers import SCALE, found, task, work
from tests.support.picture_makers import encoded, scene
from tests.support.tiny_models import colours

MAPPED = {"apple": "red", "broccoli": "green", "surfboard": "blue"}
STAMP = {"model": "yolox-nano@1", "model_sha256": "e" * 64}


def say(image: Image.Image, models: Any = None, **fields: Any) -> tuple[list[Any], list[Any]]:
    """What is named in a picture, and its candidates, without the model's stamp."""
    stage = work(models or colours(scale=SCALE, detector_labels=MAPPED))
    (output,) = stage.run([task(encoded(image, "PNG"), **fields)])
    return output.fields["categories"], output.fields["candidates"]


def shown(items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Category, box, what the detector calls it, why it is a candidate."""
    return [(item["category"], item["box"], item.get("detected"), item.get("reason")) for item in items]


def plain(colour: str) -> Image.Image:
    """A picture of one colour: the classifier is sure."""
    return Image.new("RGB", (64, 48), colour)


def test_only_objects_whose_label_is_mapped_are_looked_at() -> None:
    """Of a pizza nothing is said; of a broccoli that it is green, by the classifier, and what the detector calls it."""
    detections = [found(TOP_LEFT, label="pizza"), found(TOP_RIGHT, label="broccoli"), found(BOTTOM_LEFT, label="plate")]
    named, candidates = say(scene(), detections=detections, kind="face")
    assert shown(named) == [("green", TOP_RIGHT, "broccoli", None)]
    assert named[0]["model"] == "colours@1"
    assert candidates == []


def test_a_card_without_a_mapping_is_asked_about_every_object() -> None:
    """So a user's own classifier works beside any detector."""
    detections = [found(TOP_LEFT, label="pizza"), found(TOP_RIGHT, label="broccoli")]
    named, _ = say(scene(), colours(scale=SCALE), detections=detections, kind="face")
    assert shown(named) == [("red", TOP_LEFT, None, None), ("green", TOP_RIGHT, None, None)]


def test_a_trusted_detection_wins_and_what_contradicts_it_is_a_candidate() -> None:
    """Both are there, each with the model whose word it is."""
    named, candidates = say(scene(), detections=[found(TOP_LEFT, 0.8, label="broccoli", **STAMP)], kind="face")
    assert shown(named) == [("green", TOP_LEFT, "broccoli", None)]
    assert {key: named[0][key] for key in ("confidence", *STAMP)} == {"confidence": 0.8, **STAMP}
    (contradiction,) = candidates
    assert shown([contradiction]) == [("red", TOP_LEFT, "broccoli", "contradicted")]
    assert contradiction["model"] == "colours@1"
    assert contradiction["confidence"] > 0.8


def test_an_unsure_detection_is_named_only_where_the_classifier_surely_agrees() -> None:
    """At 0.49 a broccoli that is green is named with the classifier's confidence, and one that is red is not named."""
    agreed, _ = say(scene(), detections=[found(TOP_RIGHT, 0.49, label="broccoli")], kind="face")
    assert shown(agreed) == [("green", TOP_RIGHT, "broccoli", None)]
    named, candidates = say(scene(), detections=[found(TOP_LEFT, 0.49, label="broccoli")], kind="face")
    assert named == []
    assert ("red", TOP_LEFT, "broccoli", "contradicted") in shown(candidates)
    grey, unsure = say(plain("#808180"), detections=[found(TOP_LEFT, 0.49, label="broccoli")], kind="face")
    assert grey == []
    assert ("green", TOP_LEFT, "broccoli", "unsure") in shown(unsure)


@pytest.mark.parametrize(
    ("detections", "reason"),
    [
        ([], "unconfirmed"),
        ([found(TOP_LEFT, label="apple")], None), ([found(TOP_LEFT, label="pizza")], "unconfirmed"),
        ([found(TOP_LEFT, label="broccoli")], "unconfirmed"), (None, "unconfirmed"),
    ],
)  # fmt: skip
def test_a_whole_picture_is_named_where_something_that_fits_was_found(
    detections: list[Any] | None, reason: str | None
) -> None:
    """A network that cannot say "none of these" is not believed where nothing was found, or nobody looked."""
    named, candidates = say(plain("red"), detections=detections, kind="object")
    whole = [item for item in [*named, *candidates] if item["box"] is None]
    assert shown(whole) == [("red", None, None, reason)]
    assert (whole[0] in candidates) == (reason is not None)


@pytest.mark.parametrize(
    ("detections", "named"), [([], True), (None, False), ([found(TOP_LEFT, label="pizza")], False)]
)
def test_a_network_that_can_say_none_is_believed_where_nothing_was_found(detections: Any, named: bool) -> None:  # noqa: FBT001
    """It had another answer to give."""
    some = colours(scale=SCALE, labels=["red", "green", ""], detector_labels={"apple": "red"})
    categories, candidates = say(plain("red"), some, detections=detections, kind="object")
    assert (len(categories), len(candidates)) == ((1, 0) if named else (0, 1))


def test_where_the_detector_is_missing_nothing_was_found_by_nobody() -> None:
    """Its stage says that nothing was found, and which model is missing: so nothing confirms a category."""
    fields = {"detections": [], "kind": "object", "missing_models": ["yolox-nano"]}
    named, candidates = say(plain("red"), **fields)
    assert (named, shown(candidates)) == ([], [("red", None, None, "unconfirmed")])
    fields["detections"] = [found(TOP_LEFT, label="apple")]  # of somebody else's stage
    assert [item["box"] for item in say(plain("red"), **fields)[0]] == [None, TOP_LEFT]


def test_a_whole_picture_of_kind_object_always_has_a_category() -> None:
    """Unsure as it may be: each such picture has its row."""
    for fields in ({"kind": "object"}, {"kind": None}, {}):
        named, candidates = say(plain("#808080"), detections=[], **fields)
        assert named == []
        assert shown(candidates)[0][1:] == (None, None, "unsure")


def test_a_picture_with_faces_is_not_named_as_a_whole_and_its_objects_are() -> None:
    """Its kind is its route; a foreign producer that says no kind is understood by its faces."""
    faces = [{"score": 1, "box": TOP_LEFT}]
    for fields in ({"kind": "face", "faces": faces}, {"faces": faces}, {"kind": "face"}):
        named, candidates = say(scene(), detections=[found(TOP_RIGHT, label="broccoli")], **fields)
        assert shown([*named, *candidates]) == [("green", TOP_RIGHT, "broccoli", None)]


def test_none_of_these_names_nothing() -> None:
    """Where a label without a name is the surest, the next one is a candidate, however sure the network is of none."""
    some = colours(scale=SCALE, labels=["red", "green", ""], detector_labels={"broccoli": "green"})
    assert shown(say(plain("blue"), some, detections=[], kind="object")[1])[0][1:] == (None, None, "unsure")
    nothing = colours(scale=SCALE, labels=["", "", ""])
    assert say(plain("blue"), nothing, detections=[found(TOP_LEFT)], kind="face") == ([], [])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"detector_labels": {"leaf": "grene"}}, "detector_labels map to 'grene', which labels does not list"),
        ({"detector_labels": {"leaf": ""}, "labels": ["red", "green", ""]}, "detector_labels map to ''"),
        ({"task": "face-embedding", "detector_labels": {"leaf": "green"}}, "detector_labels are for classification"),
    ],
)  # fmt: skip
def test_a_mapping_to_what_the_network_does_not_have_is_no_card(fields: dict[str, Any], sentence: str) -> None:
    """It is refused wherever the card is read."""
    with pytest.raises(ModelError, match=sentence):
        colours(**fields)


@pytest.fixture
def store(tmp_path: Path) -> Settings:
    """A model store of its own."""
    found = Settings(device="cpu", models_dir=tmp_path / "models")
    open_repository(found).check()
    return found


def test_a_mapping_of_what_the_detector_does_not_have_is_refused(store: Settings) -> None:
    """By the labels of the detector that is served, or else of the one that the manifest knows; else it is believed."""
    mapped = colours(detector_labels={"leaf": "green"})
    with pytest.raises(ModelError, match=r"detector_labels name 'leaf', which yolox-nano \(DETECT_MODEL\) does not"):
        validation.load(mapped, store, line.model_loaders())
    validation.load(colours(detector_labels={"broccoli": "green"}), store, line.model_loaders())
    own = store.model_copy(update={"detect_model": "garden"})
    validation.load(mapped, own, line.model_loaders())
    repository = open_repository(own)
    repository.publish(colours(name="garden", labels=["tree", "leaf", "pond"]))
    repository.promote("garden", "1")
    validation.load(mapped, own, line.model_loaders())
    with pytest.raises(ModelError, match=r"detector_labels name 'cherry', which garden"):
        validation.load(colours(detector_labels={"cherry": "red", "leaf": "green"}), own, line.model_loaders())


@pytest.mark.parametrize("network_outputs", [2, 4, 11])
def test_a_network_of_other_outputs_than_its_labels_is_refused(network_outputs: int, store: Settings) -> None:
    """An eleventh output wants an eleventh label."""
    with pytest.raises(ModelError, match=rf"gives \[1, {network_outputs}\] for 1 crops; by its card it is \[1, 3\]"):
        validation.load(colours(outputs=network_outputs), store, line.model_loaders())


@pytest.mark.parametrize("wrong", [3, [3], [{"category": "a"}], [{"category": "a", "confidence": 1, "reason": 7}]])
def test_candidates_are_held_against_the_contract(wrong: Any) -> None:
    """A foreign producer's, too."""
    raw = Message.of({"image_id": "a", "original_path": "original/a.jpg", "candidates": wrong}).raw
    with pytest.raises(BadMessage, match="candidates"):
        Message.decode(raw)


def test_a_version_whose_mapping_does_not_suit_is_refused_and_the_one_before_serves_on(store: Settings) -> None:
    """Also where it was promoted past the command, which tries it first."""
    repository = open_repository(store)
    served = Served("colours", load_classifier, store)
    for model in (colours("1"), colours("2", detector_labels={"leaf": "green"})):
        repository.publish(model)
        repository.promote("colours", model.card.version)
        served.update(repository)
    now = served.now()
    assert now is not None
    assert now.card.version == "1"
    assert "detector_labels name 'leaf', which yolox-nano (DETECT_MODEL) does not find" in (served.refused or "")

"""What is measured is what the line does: the same findings, the same names, under each setting that is tried."""

from pathlib import Path
from typing import Any

import pytest

from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.evaluation import advice
from stageline.evaluation.measuring import measure
from stageline.evaluation.reading import read
from stageline.evaluation.report import report
from stageline.evaluation.summary import Summary
from stageline.evaluation.tries import CONFIGURED, tries
from stageline.evaluation.variants import VariantRunner
from stageline.local.monolith import Monolith
from stageline.registry.repository import open_repository
from tests.support.detector_graphs import model, torchvision_ssd_network
from tests.support.labelled_pictures import CLASSIFIER, DETECTOR, SCENES, publish, yolo
from tests.support.tiny_models import colours


def seeing(folder: Path, **more: Any) -> Settings:
    """Settings for the models of `publish`; pictures are looked at in colour."""
    if not folder.exists():
        publish(folder)
    chosen = {"detect_model": DETECTOR, "classify_model": CLASSIFIER, "detect_on": "resized", "device": "cpu"}
    return Settings(models_dir=folder, **chosen | more)


def measured(data: Path, settings: Settings) -> dict[str, Any]:
    """All figures."""
    found, tried = read(data), tries(settings)
    return report(found, Summary(measure(found, settings, tried)), tried, settings)


@pytest.mark.parametrize("changed", [{}, {"detect_on": "original"}, {"detect_min_score": 0.85}, {"resize_min_side": 0},
    {"classify_min_confidence": 0.999, "classify_trusted_score": 1.0}])  # fmt: skip
def test_it_sees_and_names_what_the_line_does(changed: dict[str, Any], tmp_path: Path) -> None:
    """As configured, and under changes of settings as though they had been configured."""
    data = (yolo(tmp_path / "data") / "images" / "a.png").read_bytes()
    configured = seeing(tmp_path / "models", **changed)
    fields = Monolith(configured).run(data, "a.png")[0].fields
    of_detect = {name: value for name, value in changed.items() if not name.startswith("classify")}
    of_classify = {name: value for name, value in changed.items() if name.startswith("classify")}

    findings = VariantRunner(configured, [CONFIGURED], [CONFIGURED]).run(data)
    changes = tuple(of_classify.items())
    base = seeing(tmp_path / "models", **of_detect)
    changed_findings = VariantRunner(base, [CONFIGURED], list(dict.fromkeys([CONFIGURED, changes]))).run(data)

    found = [(one.label, list(one.box)) for one in findings.ways[CONFIGURED].found]
    seen = [(one["label"], one["box"]) for one in fields["detections"]]
    assert [one for one in found if one in seen] == seen
    assert seen
    assert findings.categories[CONFIGURED][0] == fields["categories"]
    assert changed_findings.categories[changes][0] == fields["categories"]


def test_without_a_classifier_categories_are_not_reported(tmp_path: Path) -> None:
    """Objects are measured all the same."""
    found = measured(yolo(tmp_path / "data"), seeing(tmp_path / "models", classify_model="absent"))
    assert found["categories"] is None
    assert found["line"]["ap50"] == 1.0
    assert not [one for one in found["tried"] if any(name.startswith("CLASSIFY") for name in one["settings"])]


def test_other_models_that_are_installed_are_tried_and_what_is_no_good_is_not(tmp_path: Path) -> None:
    """Another classifier is; a detector whose outputs cannot be read harms nothing."""
    settings = seeing(tmp_path / "models")
    repository = open_repository(settings)
    other = colours(scale=0.1, name="other", detector_labels={"person": "blue", "car": "red"})
    bad = model("ssdlite320-mobilenet-v3", torchvision_ssd_network(), adapter="none-such")
    for made in (other, bad):
        repository.publish(made)
        repository.promote(made.card.name, made.card.version)
    found = measured(yolo(tmp_path / "data"), settings)
    tried = {tuple(one["settings"].items())[-1]: one for one in found["tried"]}
    assert ("DETECT_MODEL", "ssdlite320-mobilenet-v3") not in tried
    assert ("CLASSIFY_MODEL", "other") in tried
    assert found["line"]["ap50"] == 1.0


def test_a_detector_that_is_not_installed_is_said(tmp_path: Path) -> None:
    """With what to do about it."""
    with pytest.raises(ModelError, match=r"absent is not installed: no known model is called absent"):
        tries(seeing(tmp_path / "models", detect_model="absent"))
    with pytest.raises(ModelError, match=r"colours cannot be used: .* is for classification"):
        VariantRunner(seeing(tmp_path / "models", detect_model="colours"), [CONFIGURED], [])


def test_what_is_tried_follows_from_what_is_configured(tmp_path: Path) -> None:
    """Each setting is tried at other values than its own, and the floor with it and without it, whatever it is."""
    for more in (
        {},
        {"resize_min_side": 0},
        {"detect_on": "original"},
        {"resize_scale": 1.0, "detect_on": "grayscale"},
    ):
        settings = seeing(tmp_path / "models", **more)
        tried = tries(settings)
        assert tried.ways[0] == tried.classifying[0] == CONFIGURED
        for changes in (*tried.ways, *tried.classifying):
            assert all(getattr(settings, name) != value for name, value in changes), changes
        values = [
            dict(way).get("resize_min_side", settings.resize_min_side)
            for way in (tried.with_floor, tried.without_floor)
        ]
        assert values == [tried.floor, 0]
        assert tried.floor > 0


def test_a_lower_least_score_is_advised_where_it_finds_more(tmp_path: Path) -> None:
    """At 0.85 the cars, which score 0.8, are not found: the sentence says what 0.8 and less would bring."""
    settings = seeing(tmp_path / "models", detect_min_score=0.85)
    data = yolo(tmp_path / "data", dict.fromkeys(map(str, range(40)), SCENES["a"]))
    found, tried = read(data), tries(settings)
    summary = Summary(measure(found, settings, tried))
    (one,) = advice.of_scores(summary, settings)
    assert one.verdict == "better"
    assert one.sentence.startswith("DETECT_MIN_SCORE=0.8: 100 % of the labels are found instead of 50 %")
    assert advice.of_scores(summary, settings.model_copy(update={"detect_min_score": 0.8})) == []

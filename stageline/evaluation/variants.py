"""Runs variants on a picture: the line's stages under other settings, and the network alone."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.evaluation.precision import Finding
from stageline.imaging import codec
from stageline.local.monolith import WORKER, Made, step, take_in
from stageline.pipeline import line
from stageline.pipeline.message import Message
from stageline.pipeline.stage import Work
from stageline.registry.install import how_to_get
from stageline.registry.serving import Loaded, Served, load_once
from stageline.store.base import StoredObject

MIN_SCORE = 0.01  # AP considers all scores; lower ones are noise
STAGES = tuple(stage.name for stage in line.LINE)
UP_TO_DETECT = STAGES[: STAGES.index("detect") + 1]
DETECT, CLASSIFY = line.stage("detect"), line.stage("classify")
Changes = tuple[tuple[str, Any], ...]  # the settings that differ from the configuration, as (name, value)


class Detector(Protocol):
    """The detect stage's model: takes BGR uint8 [h, w, 3], returns objects with boxes in its pixels."""

    def detect(self, bgr: codec.Pixels, min_score: float) -> Sequence[Any]:
        """Return the objects with at least that score: each with a label, a score and a box."""


@dataclass(frozen=True)
class VariantFindings:
    """The findings of one variant, and the CPU milliseconds that it took."""

    found: Sequence[Finding]
    ms: float


@dataclass
class PictureFindings:
    """The findings of all variants in one picture."""

    size: tuple[int, int]
    """Width and height, upright."""
    bare: VariantFindings
    ways: dict[Changes, VariantFindings] = field(default_factory=dict)
    categories: dict[Changes, tuple[Sequence[Mapping[str, Any]], float]] = field(default_factory=dict)
    """The categories under each variant of classify, and its CPU milliseconds."""


class VariantRunner:
    """Runs the stages under each of several settings; each model is loaded once."""

    def __init__(self, settings: Settings, ways: Sequence[Changes], classifiers: Sequence[Changes]) -> None:
        """Load the models.

        Args:
            settings: the configuration.
            ways: changes of settings under which objects are detected; () is the configuration.
            classifiers: changes under which the configured findings are classified; empty: no classification.

        Raises:
            ModelError: a detector is not installed.
        """
        self._configured, self._ways, self._classifiers = settings, list(ways), list(classifiers)
        self._settings = settings.model_copy(update={"detect_min_score": MIN_SCORE})
        self._works: dict[tuple[str, Changes], Work] = {}
        self._loaded: dict[str, Loaded[Any]] = {}
        self.lacking: dict[str, str] = {}
        """The wanted models that are missing, by name, with the reason."""
        for changes in ways:
            if not self._open(UP_TO_DETECT, changes, dict(changes).get("detect_model", settings.detect_model)):
                self._ways.remove(changes)  # a detector that cannot be used
        if settings.detect_model not in self._loaded:
            why = self.lacking[settings.detect_model]
            raise ModelError(f"the detector {settings.detect_model} cannot be used: {why}")
        self._faces = DETECT.load(self._settings.model_copy(update={"detect_on": "original"}))  # needs no other stage
        self._load([model for model in self._faces.models if model.name != settings.detect_model])
        for changes in classifiers:
            if not self._open(("classify",), changes, dict(changes).get("classify_model", settings.classify_model)):
                self._classifiers.remove(changes)  # refused: like the line, it names nothing

    def model(self, name: str) -> Loaded[Any] | None:
        """Return a model that was loaded, by its name."""
        return self._loaded.get(name)

    def run(self, data: bytes) -> PictureFindings:
        """Run every variant on a picture.

        Raises:
            BadImage: it is not a picture that the line takes.
        """
        message, original = take_in(data, "", self._settings.max_image_pixels)
        size = int(message.fields["origin_w"]), int(message.fields["origin_h"])
        findings = PictureFindings(size, self._bare(data))
        memo: dict[Any, tuple[Message, Sequence[StoredObject], float]] = {}
        self._ways.append(self._ways.pop(0))  # rotate: the first variant finds the processor's caches cold
        for changes in self._ways:
            last, spent = self._through(message, original, changes, memo)
            findings.ways[changes] = VariantFindings(_found(last), spent)
            if not changes:
                configured = last
        if self._classifiers:
            seen = self._as_configured(configured, original)
            self._classifiers.append(self._classifiers.pop(0))
            for changes in self._classifiers:
                findings.categories[changes] = self._named(seen, original, changes)
        return findings

    def _bare(self, data: bytes) -> VariantFindings:
        """Run the detector on the original, in colour; it only fits the picture to its input."""
        detector: Detector = self._loaded[self._configured.detect_model].value
        began = time.process_time()
        pixels, _ = codec.decode(data, self._settings.max_image_pixels)
        found = detector.detect(pixels, MIN_SCORE)
        spent = 1000 * (time.process_time() - began)
        return VariantFindings([Finding(one.label, one.score, one.box) for one in found], spent)

    def _through(
        self, message: Message, original: StoredObject, changes: Changes, memo: dict[Any, Any]
    ) -> tuple[Message, float]:
        """Run the stages up to detect; results of other variants with the same inputs are reused."""
        made: Made = {original.key: original}
        total = 0.0
        for name in UP_TO_DETECT:
            work = self._works[name, _own(name, changes)]
            given = tuple(sorted((place, made[key].data) for place, key in work.inputs(message).items()))
            same = name, tuple(one for one in _own(name, changes) if one[0] != "detect_on"), given
            if same not in memo:
                before, began = set(made), time.process_time()
                following = step(line.stage(name), work, message, made)
                spent = 1000 * (time.process_time() - began)
                memo[same] = following, [made[key] for key in made.keys() - before], spent
            message, objects, spent = memo[same]
            made |= {stored.key: stored for stored in objects}
            total += spent
        return message, total

    def _as_configured(self, message: Message, original: StoredObject) -> Message:
        """Return the message as detect would send it: objects above the configured least score, and faces."""
        fields = dict(message.fields)
        least = self._configured.detect_min_score
        kept = [item for item in fields["detections"] if item["score"] >= least]
        seen = step(DETECT, self._faces, message, {original.key: original}).fields
        return Message.of(fields | {"detections": kept, "faces": seen["faces"], "kind": seen["kind"]})

    def _named(
        self, message: Message, original: StoredObject, changes: Changes
    ) -> tuple[Sequence[Mapping[str, Any]], float]:
        began = time.process_time()
        work = self._works["classify", changes]
        fields = step(CLASSIFY, work, message, {original.key: original}).fields
        return fields.get("categories", []), 1000 * (time.process_time() - began)

    def _open(self, stages: Sequence[str], changes: Changes, wanted: str) -> bool:
        """Make the works of some stages, with the one model that is wanted; return whether it is available."""
        for name in stages:
            own = _own(name, changes)
            if (name, own) not in self._works:
                work = line.stage(name).load(self._settings.model_copy(update=dict(own)))
                self._load([model for model in work.models if model.name == wanted])
                self._works[name, own] = work
        return wanted in self._loaded

    def _load(self, served: Sequence[Served[Any]]) -> None:
        """Load models, each once, and share them among the stages that serve them."""
        absent = [model for model in served if model.name not in self._loaded]
        for model in absent:
            model.quiet = True  # see `lacking`
        if absent:
            load_once(absent, self._settings, WORKER)
        for model in served:
            now = model.now()
            if now is not None:
                self._loaded.setdefault(model.name, now)
            elif model.name in self._loaded:
                model.swap(self._loaded[model.name])
            else:
                self.lacking[model.name] = model.refused or how_to_get(model.name)


def _own(stage: str, changes: Changes) -> Changes:
    """Return the changes of one stage's settings."""
    return tuple(change for change in changes if change[0].startswith(f"{stage}_"))


def _found(message: Message) -> list[Finding]:
    return [Finding(item["label"], item["score"], item["box"]) for item in message.fields["detections"]]

"""Looking at a picture in several ways: through the line's stages under other settings, and by the bare network."""

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

MIN_SCORE = 0.01  # AP is about all scores; what lies below is noise
STAGES = tuple(stage.name for stage in line.LINE)
UP_TO_DETECT = STAGES[: STAGES.index("detect") + 1]
DETECT, CLASSIFY = line.stage("detect"), line.stage("classify")
Changes = tuple[tuple[str, Any], ...]  # settings that differ from those configured, as (name, value)


class Detector(Protocol):
    """What the detect stage serves: takes BGR uint8 [h, w, 3], finds objects whose boxes are in its pixels."""

    def detect(self, bgr: codec.Pixels, min_score: float) -> Sequence[Any]:
        """Find what scores at least so much: each with a label, a score and a box."""


@dataclass(frozen=True)
class VariantFindings:
    """What one way of looking found, and the CPU milliseconds that it took."""

    found: Sequence[Finding]
    ms: float


@dataclass
class PictureFindings:
    """All that was found in one picture."""

    size: tuple[int, int]
    """Width and height, upright."""
    bare: VariantFindings
    ways: dict[Changes, VariantFindings] = field(default_factory=dict)
    categories: dict[Changes, tuple[Sequence[Mapping[str, Any]], float]] = field(default_factory=dict)
    """What was named under each of several settings of classify, and its CPU milliseconds."""


class VariantRunner:
    """The stages as they are under each of several settings; each model is loaded once."""

    def __init__(self, settings: Settings, ways: Sequence[Changes], classifiers: Sequence[Changes]) -> None:
        """Load the models.

        Args:
            settings: as they are configured.
            ways: changes of settings under which objects are looked for; () is as configured.
            classifiers: changes under which what was found as configured is classified; none: it is not.

        Raises:
            ModelError: a detector is not installed.
        """
        self._configured, self._ways, self._classifiers = settings, list(ways), list(classifiers)
        self._settings = settings.model_copy(update={"detect_min_score": MIN_SCORE})
        self._works: dict[tuple[str, Changes], Work] = {}
        self._loaded: dict[str, Loaded[Any]] = {}
        self.lacking: dict[str, str] = {}
        """The models that were wanted and are not there, by name: why."""
        for changes in ways:
            if not self._open(UP_TO_DETECT, changes, dict(changes).get("detect_model", settings.detect_model)):
                self._ways.remove(changes)  # another detector, that is no good
        if settings.detect_model not in self._loaded:
            why = self.lacking[settings.detect_model]
            raise ModelError(f"the detector {settings.detect_model} cannot be used: {why}")
        self._faces = DETECT.load(self._settings.model_copy(update={"detect_on": "original"}))  # asks for nothing else
        self._load([model for model in self._faces.models if model.name != settings.detect_model])
        for changes in classifiers:
            if not self._open(("classify",), changes, dict(changes).get("classify_model", settings.classify_model)):
                self._classifiers.remove(changes)  # refused: as the line, it names nothing

    def model(self, name: str) -> Loaded[Any] | None:
        """Return a model that was loaded, by its name."""
        return self._loaded.get(name)

    def run(self, data: bytes) -> PictureFindings:
        """Look at a picture in every way.

        Raises:
            BadImage: it is not a picture that the line takes.
        """
        message, original = take_in(data, "", self._settings.max_image_pixels)
        size = int(message.fields["origin_w"]), int(message.fields["origin_h"])
        findings = PictureFindings(size, self._bare(data))
        memo: dict[Any, tuple[Message, Sequence[StoredObject], float]] = {}
        self._ways.append(self._ways.pop(0))  # nobody is always the first, who finds nothing in the processor's caches
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
        """The picture as it was sent, in colour, straight into the detector: it only fits it into its input."""
        detector: Detector = self._loaded[self._configured.detect_model].value
        began = time.process_time()
        pixels, _ = codec.decode(data, self._settings.max_image_pixels)
        found = detector.detect(pixels, MIN_SCORE)
        spent = 1000 * (time.process_time() - began)
        return VariantFindings([Finding(one.label, one.score, one.box) for one in found], spent)

    def _through(
        self, message: Message, original: StoredObject, changes: Changes, memo: dict[Any, Any]
    ) -> tuple[Message, float]:
        """Send it through the stages up to detect; what another way did with the same inputs is not repeated."""
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
        """The message as detect would hand it on: objects by the configured least score, and faces."""
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
        """Make the works of some stages, with the one model that is wanted of them; tell whether there is one."""
        for name in stages:
            own = _own(name, changes)
            if (name, own) not in self._works:
                work = line.stage(name).load(self._settings.model_copy(update=dict(own)))
                self._load([model for model in work.models if model.name == wanted])
                self._works[name, own] = work
        return wanted in self._loaded

    def _load(self, served: Sequence[Served[Any]]) -> None:
        """Load models, each once, and have those who serve them share them."""
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
    """Those changes that are of one stage's settings."""
    return tuple(change for change in changes if change[0].startswith(f"{stage}_"))


def _found(message: Message) -> list[Finding]:
    return [Finding(item["label"], item["score"], item["box"]) for item in message.fields["detections"]]

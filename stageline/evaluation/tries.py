"""Chooses the settings to try beside those configured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.evaluation.dataset import known_as
from stageline.evaluation.variants import Changes
from stageline.inference import model_input
from stageline.registry.card import Card
from stageline.registry.install import how_to_get, install, is_for_a_worker
from stageline.registry.repository import Repository, open_repository

CONFIGURED: Changes = ()
BARE: Changes = (("bare_network", True),)  # no setting: the original in colour, given directly to the network
INPUTS = ("original", "resized", "grayscale")
SCALE = 0.5
OF_CLASSIFY: Mapping[str, Sequence[float]] = {
    "classify_min_confidence": (0.5, 0.7, 0.8, 0.85, 0.9, 0.95),
    "classify_trusted_score": (0.3, 0.5, 0.7, 0.9),
}


@dataclass(frozen=True)
class Tries:
    """The variants to measure, and those from which the cost of each step is computed."""

    ways: Sequence[Changes]
    """The settings under which objects are detected; the first is as configured."""
    on: Mapping[str, Changes]
    """The variant of each value of DETECT_ON."""
    with_floor: Changes
    without_floor: Changes
    """Two variants that differ only in RESIZE_MIN_SIDE: not 0, and 0."""
    floor: int
    """RESIZE_MIN_SIDE of the first of these."""
    classifying: Sequence[Changes]
    """The settings under which findings are classified; the first is as configured; empty without a classifier."""
    mappings: Mapping[str, Mapping[str, str]]
    """The category of each of the detector's labels, by classifier; see `mapping_of`."""

    left_out: Mapping[str, str] = field(default_factory=dict)
    """The installed models that are not tried, by name, with the reason."""

    def mapping(self, changes: Changes, settings: Settings) -> Mapping[str, str]:
        """Return the mapping of the classifier under these changes."""
        return self.mappings[str(dict(changes).get("classify_model", settings.classify_model))]


def tries(settings: Settings) -> Tries:
    """Choose the variants by the settings, the size of the detector's input, and the available models.

    Raises:
        ModelError: the detector is not installed, or its card has an input that pictures cannot be converted to.
        Unavailable: the model store is away.
    """
    cards, left_out = _installed(settings)
    detector = cards.get(settings.detect_model)
    if settings.detect_model in left_out:
        raise ModelError(f"the detector {settings.detect_model} cannot be used: {left_out[settings.detect_model]}")
    if detector is None:
        raise ModelError(f"the detector {settings.detect_model} is not installed: {how_to_get(settings.detect_model)}")
    side = max(model_input.input_size(detector))
    on = {name: CONFIGURED if name == settings.detect_on else (("detect_on", name),) for name in INPUTS}
    # If the line detects on the original, the cost of the resize is that of detecting on the resized picture.
    base = on["grayscale"] if settings.detect_on == "original" else CONFIGURED
    floor = settings.resize_min_side or side
    with_floor, without = (_with(base, settings, "resize_min_side", value) for value in (floor, 0))
    more = [_with(base, settings, "resize_min_side", value) for value in (side, 2 * side) if value > floor]
    if settings.resize_scale < SCALE:
        more.append(_with(base, settings, "resize_scale", SCALE))
    more += [(("detect_model", name),) for name in _of_task(cards, "object-detection", settings.detect_model)]
    ways = list(dict.fromkeys([CONFIGURED, *on.values(), with_floor, without, *more]))
    mappings = {name: mapping_of(cards[name], detector) for name in _of_task(cards, "classification")}
    left_out |= {
        name: "none of its categories is one of the detector's labels"
        for name, mapping in mappings.items()
        if not mapping
    }
    mappings = {name: mapping for name, mapping in mappings.items() if mapping}
    classifying = _classifying(settings, mappings)
    return Tries(ways, on, with_floor, without, floor, classifying, mappings, left_out)


def mapping_of(classifier: Card, detector: Card) -> Mapping[str, str]:
    """Return the category of each of the detector's labels, from the classifier's card.

    If the card has no mapping, labels map to categories of the same name, however spelled.
    """
    return classifier.detector_labels or known_as([label for label in detector.labels if label], classifier.labels)


def shown(changes: Changes) -> str:
    """Return settings as text: ``DETECT_ON=resized RESIZE_MIN_SIDE=0``."""
    return " ".join(f"{name.upper()}={value}" for name, value in changes)


def _classifying(settings: Settings, mappings: Mapping[str, Mapping[str, str]]) -> list[Changes]:
    if settings.classify_model not in mappings:
        return []
    changed: list[Changes] = [
        ((name, value),) for name, values in OF_CLASSIFY.items() for value in values if getattr(settings, name) != value
    ]
    others: list[Changes] = [(("classify_model", name),) for name in mappings if name != settings.classify_model]
    return [CONFIGURED, *changed, *others]


def _with(base: Changes, settings: Settings, name: str, value: float) -> Changes:
    return base if getattr(settings, name) == value else (*base, (name, value))


def _of_task(cards: Mapping[str, Card], task: str, but: str = "") -> list[str]:
    return sorted(name for name, card in cards.items() if card.task == task and name != but)


def _installed(settings: Settings) -> tuple[dict[str, Card], dict[str, str]]:
    """Return the cards of the served models, and the reasons why others cannot be read.

    Configured models are installed first, as a stage does.
    """
    repository = open_repository(settings)
    repository.check()
    cards: dict[str, Card] = {}
    unreadable: dict[str, str] = {}
    for name in (settings.detect_model, settings.classify_model):
        if repository.pointer(name) is None and is_for_a_worker(name):
            install(name, repository, settings)
    for name in repository.versions():
        try:
            cards |= _card(repository, name)
        except ModelError as error:
            unreadable[name] = str(error)
    return cards, unreadable


def _card(repository: Repository, name: str) -> Mapping[str, Card]:
    pointer = repository.pointer(name)
    return {name: repository.card(name, pointer.version)} if pointer else {}

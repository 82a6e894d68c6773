"""Going through a data set, one picture at a time: what is kept of each is numbers."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stageline.core.errors import BadImage
from stageline.core.settings import Settings
from stageline.evaluation.dataset import BadDataSet, DataSet, Label, LabelledPicture, known_as, same
from stageline.evaluation.naming import Judged, judge
from stageline.evaluation.precision import Labelled, Tally
from stageline.evaluation.tries import BARE, Tries
from stageline.evaluation.variants import Changes, PictureFindings, VariantRunner

Advance = Callable[[], None]
Milliseconds = Mapping[Changes, "array[float]"]


@dataclass
class Measured:
    """The findings in all pictures, under every variant, and their labels."""

    classes: Sequence[str]
    """The labelled classes that the detector knows, by its names."""
    unknown: Mapping[str, int]
    """The classes that it does not know, with their numbers of labels: they are left out of AP."""
    labelled: Labelled = field(default_factory=Labelled)
    tallies: Mapping[Changes, Tally] = field(default_factory=lambda: defaultdict(Tally))
    ms: Milliseconds = field(default_factory=lambda: defaultdict(lambda: array("d")))
    """CPU milliseconds of each picture, from the original to the objects."""
    judged: dict[Changes, list[Judged]] = field(default_factory=lambda: defaultdict(list))
    """The judged categories; those that map to none of `classes` are not judged."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """The models that could not be used, by name, with the reason."""
    naming_ms: Milliseconds = field(default_factory=lambda: defaultdict(lambda: array("d")))


def measure(found: DataSet, settings: Settings, tried: Tries, advance: Advance = lambda: None) -> Measured:
    """Run every variant on every picture, and compare the findings with the labels.

    Pictures that cannot be decoded are noted among the data set's problems.

    Args:
        found: the data set.
        settings: as they are configured.
        tried: the variants of the settings.
        advance: called after each picture.

    Raises:
        BadDataSet: the detector knows none of the classes, or no picture can be decoded.
        ModelError: a detector is not installed.
    """
    runner = VariantRunner(settings, tried.ways, tried.classifying)
    detector = runner.model(settings.detect_model)
    known = known_as(found.classes, detector.card.labels if detector else ())
    measured = _begun(found, known)
    measured.left_out = {**tried.left_out, **runner.lacking}
    for picture in found.pictures:
        findings = _run(runner, picture, settings, found)
        if findings is not None:
            labels = picture.in_pixels(*findings.size, found.problems)
            labels = [replace(label, name=known.get(label.name, label.name)) for label in labels]
            _add(measured, findings, labels, tried, settings)
        advance()
    measured.classes = [name for name in measured.classes if measured.labelled.count(name)]
    for changes, judged in measured.judged.items():  # a class may have been only in pictures that were left out
        judgeable = _judgeable(measured, tried.mapping(changes, settings))
        measured.judged[changes] = [one.only(judgeable) for one in judged]
    if not measured.classes:
        raise BadDataSet(f"no picture with a label could be looked at: {'; '.join(found.problems.sentences())}")
    return measured


def _begun(found: DataSet, known: Mapping[str, str]) -> Measured:
    counts: dict[str, int] = defaultdict(int)
    for picture in found.pictures:
        for label in picture.labels:
            counts[label.name] += not label.crowd
    unknown = {name: count for name, count in sorted(counts.items()) if name not in known and count}
    classes = sorted({known[name] for name, count in counts.items() if name in known and count})
    if not classes:
        named = ", ".join(unknown) or "none"
        raise BadDataSet(
            f"the detector knows none of the classes that are labelled ({named}): set DETECT_MODEL to another"
        )
    return Measured(classes, unknown)


def _run(runner: VariantRunner, picture: LabelledPicture, settings: Settings, found: DataSet) -> PictureFindings | None:
    """Run the variants on a picture; None, and a noted problem, if that fails."""
    try:
        findings = runner.run(_read(picture.path, settings.max_upload_bytes))
    except (BadImage, OSError) as error:
        kind = "picture that cannot be looked at, left out"
        found.problems.note(kind, f"{picture.path}: {error}", picture=picture.path, fault=True)
        return None
    if picture.size not in (None, findings.size):
        sizes = f"{picture.path}: {findings.size[0]} × {findings.size[1]}, not {picture.size[0]} × {picture.size[1]}"
        kind = "picture of another size than its annotations say, left out"
        found.problems.note(kind, sizes, picture=picture.path, fault=True)
        return None
    return findings


def _read(path: Path, most: int) -> bytes:
    if path.stat().st_size > most:
        raise BadImage(f"it has more than {most:,} bytes (MAX_UPLOAD_BYTES)")
    return path.read_bytes()


def _add(
    measured: Measured, findings: PictureFindings, labels: Sequence[Label], tried: Tries, settings: Settings
) -> None:
    number = measured.labelled.add(labels)
    names = {same(name): name for name in measured.classes}  # other detectors may spell them differently
    for changes, variant in ((BARE, findings.bare), *findings.ways.items()):
        wanted = [one._replace(label=names[same(one.label)]) for one in variant.found if same(one.label) in names]
        measured.tallies[changes].add(number, wanted, labels)
        measured.ms[changes].append(variant.ms)
    for changes, (categories, ms) in findings.categories.items():
        mapping = tried.mapping(changes, settings)
        judgeable = _judgeable(measured, mapping)
        named = [one for one in categories if one["category"] in judgeable]
        measured.judged[changes].append(judge(named, labels, mapping))
        measured.naming_ms[changes].append(ms)


def _judgeable(measured: Measured, mapping: Mapping[str, str]) -> set[str]:
    """Return the categories of the labelled classes; other objects have no labels to judge by."""
    return {mapping[name] for name in measured.classes if name in mapping}

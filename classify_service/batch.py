"""A batch of pictures: the crops of all its pictures go through each network together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from classify_service.categories import Classifier
from classify_service.crops import Original, Span, parts, squared
from classify_service.faces import FaceEmbedder, aligned
from classify_service.networks import Gathered
from stageline.imaging import codec
from stageline.imaging.codec import Pixels
from stageline.inference import FloatArray
from stageline.registry.serving import Loaded

Items = Sequence[Mapping[str, Any]]
Keep = Callable[[FloatArray], None]


@dataclass(frozen=True)
class ModelsInUse:
    """The models for one batch; None where a model is not installed."""

    categories: Loaded[Classifier] | None = None
    imagenet: Loaded[Classifier] | None = None
    faces: Loaded[FaceEmbedder] | None = None


@dataclass(frozen=True)
class Rows:
    """The networks' outputs for one picture; empty where a model is not installed."""

    categories: dict[int | None, FloatArray] = field(default_factory=dict)
    """The index of a detection, or None for the whole picture → the probabilities of the categories, [labels]."""
    imagenet: list[FloatArray] = field(default_factory=list)
    """At most one: the probabilities of ImageNet's classes, [labels], for the whole picture."""
    faces: dict[int, FloatArray] = field(default_factory=dict)
    """The index of a face → its embedding, [512]."""


class _Look(NamedTuple):
    """A part of a picture for a network."""

    scale: float
    """The scale to which the picture may be shrunk for it."""
    cut: Callable[[Original], Pixels]
    through: Gathered
    keep: Keep


class CropBatch:
    """Decodes pictures one after the other, and keeps only their crops at the networks' sizes."""

    def __init__(self, models: ModelsInUse, max_pixels: int) -> None:
        """Begin a batch of pictures that have at most `max_pixels` each."""
        self._categories = _gathering(models.categories)
        self._imagenet = _gathering(models.imagenet)
        self._faces: tuple[FaceEmbedder, Gathered] | None = None
        if models.faces:
            self._faces = models.faces.value, Gathered(models.faces.value.embed)
        self._max_pixels = max_pixels

    def add(self, data: bytes, detections: Items, faces: Items, *, whole: bool = True) -> Rows:
        """Add a picture's crops; return the rows, which are complete after `finish`.

        Args:
            data: the original's file.
            detections: each with a ``label``, a ``score`` and a ``box``, in pixels of the original as it is meant to be
                seen.
            faces: each with a ``score``, a ``box``, and perhaps ``landmarks``.
            whole: whether the whole picture is classified too.

        Raises:
            BadImage: the picture cannot be decoded.
            ModelError: the outputs of a network do not match its card.
        """
        rows = Rows()
        info = codec.probe(data, self._max_pixels)
        looks = [
            *(self._whole(info, rows) if whole else ()),
            *self._objects(info, detections, rows),
            *self._people(info, faces, rows),
        ]
        if looks:
            original = Original(data, info, [look.scale for look in looks], self._max_pixels)
            for look in looks:
                look.through.add(look.cut(original), look.keep)
        return rows

    def finish(self) -> None:
        """Compute the waiting crops: the rows of all pictures are complete then.

        Raises:
            ModelError: the outputs of a network do not match its card.
        """
        for part in (self._categories, self._imagenet, self._faces):
            if part:
                part[1].finish()

    def _whole(self, info: codec.ImageInfo, rows: Rows) -> Iterator[_Look]:
        box = (0, 0, info.width, info.height)
        if self._categories:
            yield _classified(*self._categories, box, partial(rows.categories.__setitem__, None))
        if self._imagenet:
            yield _classified(*self._imagenet, box, rows.imagenet.append)

    def _objects(self, info: codec.ImageInfo, detections: Items, rows: Rows) -> Iterator[_Look]:
        if self._categories:
            asked = [at for at, item in enumerate(detections) if self._categories[0].knows(item["label"])]
            for place, box in parts([detections[at] for at in asked], info.width, info.height):
                index = asked[place]
                around = squared(box, info.width, info.height)
                yield _classified(*self._categories, around, partial(rows.categories.__setitem__, index))

    def _people(self, info: codec.ImageInfo, faces: Items, rows: Rows) -> Iterator[_Look]:
        if self._faces:
            embedder, gathered = self._faces
            for index, box in parts(faces, info.width, info.height):
                scale = embedder.network.useful_scale(box[2] - box[0], box[3] - box[1])
                cut = partial(_face, box=box, landmarks=faces[index].get("landmarks"), size=embedder.network.size)
                yield _Look(scale, cut, gathered, partial(rows.faces.__setitem__, index))


def _gathering(by: Loaded[Classifier] | None) -> tuple[Classifier, Gathered] | None:
    return (by.value, Gathered(by.value.probabilities)) if by else None


def _classified(classifier: Classifier, gathered: Gathered, box: Span, keep: Keep) -> _Look:
    network = classifier.network

    def cut(original: Original) -> Pixels:
        return network.fitted(original.crop(box))

    return _Look(network.useful_scale(box[2] - box[0], box[3] - box[1]), cut, gathered, keep)


def _face(original: Original, box: Span, landmarks: Sequence[Sequence[float]] | None, size: tuple[int, int]) -> Pixels:
    return aligned(original.pixels, original.placed(box), original.points(landmarks), size)

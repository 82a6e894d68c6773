"""What the networks said, as the message and findings/<image_id>.json have it."""

from collections.abc import Mapping, Sequence
from typing import Any

from classify_service.batch import Rows
from classify_service.categories import Classifier
from classify_service.faces import FaceEmbedder
from stageline.modelstore import Card
from stageline.serving import Loaded

TOP = 5  # of ImageNet's classes
CONFIDENCE_DECIMALS, EMBEDDING_DECIMALS = 4, 7
Item = dict[str, Any]


def categories(
    by: Loaded[Classifier], rows: Rows, detections: Sequence[Mapping[str, Any]], min_confidence: float
) -> list[Item]:
    """Name the category of the whole picture (box null) and of each detection, where it is as sure as asked for."""
    found = []
    for index, probabilities in rows.categories.items():
        ((label, confidence),) = by.value.best(probabilities)
        if label and confidence >= min_confidence:  # an empty label names nothing
            found.append(_category(by.card, label, confidence, None if index is None else detections[index]["box"]))
    return found


def imagenet(by: Loaded[Classifier], rows: Rows) -> list[Item]:
    """Name the five classes of ImageNet that the whole picture shows most likely, however unsure."""
    best = [named for probabilities in rows.imagenet for named in by.value.best(probabilities, TOP)]
    return [_category(by.card, label, confidence, None) for label, confidence in best if label]


def embeddings(by: Loaded[FaceEmbedder], rows: Rows, faces: Sequence[Mapping[str, Any]]) -> list[Item]:
    """List the embeddings of a picture's faces, each with the box it stands for."""
    return [
        {
            "box": faces[index]["box"],
            "embedding": [round(number, EMBEDDING_DECIMALS) for number in embedding.tolist()],
            **by.card.stamp,
        }
        for index, embedding in rows.faces.items()
    ]


def referring(rows: Rows, faces: Sequence[Mapping[str, Any]], key: str) -> list[Item]:
    """Return the message's faces, each with where its embedding is, if it has one; see `embeddings`."""
    at = {place: index for index, place in enumerate(rows.faces)}
    told = []
    for place, face in enumerate(faces):
        item = {name: value for name, value in face.items() if name != "embedding"}  # of an earlier run
        told.append(item | {"embedding": {"key": key, "index": at[place]}} if place in at else item)
    return told


def _category(card: Card, label: str, confidence: float, box: Sequence[float] | None) -> Item:
    return {"category": label, "confidence": round(confidence, CONFIDENCE_DECIMALS), "box": box, **card.stamp}

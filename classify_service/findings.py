"""The networks' outputs as fields of the message and of findings/<image_id>.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from classify_service.batch import Rows
from classify_service.categories import Classifier
from classify_service.faces import FaceEmbedder
from classify_service.naming import Item, item
from stageline.registry.serving import Loaded

TOP = 5  # of ImageNet's classes
EMBEDDING_DECIMALS = 7


def imagenet(by: Loaded[Classifier], rows: Rows) -> list[Item]:
    """List the five most likely classes of ImageNet for the whole picture: guesses, however unsure."""
    best = [named for probabilities in rows.imagenet for named in by.value.best(probabilities, TOP)]
    return [item(by.card.stamp, label, confidence, None) for label, confidence in best if label]


def embeddings(by: Loaded[FaceEmbedder], rows: Rows, faces: Sequence[Mapping[str, Any]]) -> list[Item]:
    """List the embeddings of a picture's faces, each with the box of its face."""
    return [
        {
            "box": faces[index]["box"],
            "embedding": [round(number, EMBEDDING_DECIMALS) for number in embedding.tolist()],
            **by.card.stamp,
        }
        for index, embedding in rows.faces.items()
    ]


def referring(rows: Rows, faces: Sequence[Mapping[str, Any]], key: str) -> list[Item]:
    """Return the message's faces, each with the place of its embedding, if it has one; see `embeddings`."""
    at = {place: index for index, place in enumerate(rows.faces)}
    bare = [{name: value for name, value in face.items() if name != "embedding"} for face in faces]  # of an earlier run
    return [
        face | ({"embedding": {"key": key, "index": at[place]}} if place in at else {})
        for place, face in enumerate(bare)
    ]

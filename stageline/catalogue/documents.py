"""Reading documents and the embeddings they refer to out of the bucket; they may come from anybody."""

import json
from typing import Any

import numpy as np

from stageline import logs, results
from stageline.catalogue import clean
from stageline.catalogue.rows import Document, Embedding
from stageline.errors import BadMessage, NotFound, TooLarge
from stageline.message import KEY
from stageline.store import ObjectStore

LARGEST = 16 * 1024 * 1024  # bytes of JSON that are read
SIZE = 512  # numbers of an embedding


def parse(raw: bytes, name: str) -> dict[str, Any]:
    """Read an object of JSON.

    Raises:
        BadMessage: it is none.
    """
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"{name} is not JSON: {str(error)[:200]}") from None
    if not isinstance(found, dict):
        raise BadMessage(f"{name} is not an object of JSON")
    return found


def read_results(store: ObjectStore, image_id: str) -> dict[str, Any]:
    """Read a picture's results.

    Raises:
        NotFound: it has none.
        BadMessage: they are no good.
        Unavailable: the store is away.
    """
    key = results.key(image_id)
    try:
        return parse(store.get(key, LARGEST), key)
    except TooLarge as error:
        raise BadMessage(str(error)) from error


def wants_embeddings(document: Document) -> bool:
    """Whether any face of the document says where its embedding is."""
    return any(_reference(face) is not None for face in clean.objects(document.get("faces")))


def read_embeddings(store: ObjectStore, document: Document) -> dict[int, Embedding]:
    """Read the embeddings that the document's faces refer to, by the faces' places; without those that are no good.

    Raises:
        Unavailable: the store is away.
    """
    references = {
        place: found
        for place, face in enumerate(clean.objects(document.get("faces")))
        if (found := _reference(face)) is not None
    }
    findings = {key: _findings(store, key) for key in {key for key, _ in references.values()}}
    chosen = {
        place: embedding_of(findings[key][index])
        for place, (key, index) in references.items()
        if index < len(findings[key])
    }
    return {place: embedding for place, embedding in chosen.items() if embedding is not None}


def embedding_of(found: object) -> Embedding | None:
    """Take an embedding out of an entry of findings/; None where it is none."""
    numbers = found.get("embedding") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(numbers, list) or len(numbers) != SIZE:
        return None
    if not set(map(type, numbers)) <= {float, int}:
        return None
    try:
        with np.errstate(over="ignore"):
            array = np.array(numbers, dtype="<f4")
    except (OverflowError, ValueError):
        return None
    return Embedding(array.tobytes(), clean.text(found.get("model"), 200)) if np.isfinite(array).all() else None


def _reference(face: dict[str, Any]) -> tuple[str, int] | None:
    found = face.get("embedding")
    if not isinstance(found, dict):
        return None
    key, index = found.get("key"), clean.whole(found.get("index"))
    known = isinstance(key, str) and key.startswith("findings/") and KEY.fullmatch(key) is not None
    return (key, index) if known and isinstance(key, str) and index is not None else None


def _findings(store: ObjectStore, key: str) -> list[Any]:
    try:
        found = parse(store.get(key, LARGEST), key).get("faces")
    except (NotFound, BadMessage, TooLarge) as error:
        logs.get().warning("embeddings left out", key=key, reason=str(error))
        return []
    return found if isinstance(found, list) else []

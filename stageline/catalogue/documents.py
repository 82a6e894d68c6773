"""Reads documents and the embeddings that they refer to from the bucket; both are untrusted."""

import json
from typing import Any

import numpy as np

from stageline.catalogue import clean
from stageline.catalogue.rows import Document, Embedding
from stageline.catalogue.tables import EMBEDDING_SIZE
from stageline.core import logs
from stageline.core.errors import BadMessage, NotFound, TooLarge
from stageline.pipeline import results
from stageline.store import ObjectStore

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024  # bytes of results that are read: more than a message can have
MAX_FINDINGS_BYTES = 16 * 1024 * 1024


def parse(raw: bytes, name: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        BadMessage: the bytes are no JSON object.
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
        NotFound: the picture has none.
        BadMessage: the results are invalid or too large.
        Unavailable: the store is away.
    """
    key = results.key(image_id)
    try:
        return parse(store.get(key, MAX_DOCUMENT_BYTES), key)
    except TooLarge as error:
        raise BadMessage(str(error)) from error


def wants_embeddings(document: Document, image_id: str) -> bool:
    """Return whether any face of the document refers to an embedding."""
    return bool(_references(document, image_id))


def read_embeddings(store: ObjectStore, document: Document, image_id: str) -> dict[int, Embedding]:
    """Read the valid embeddings that the faces refer to, by the position of the face.

    Only the picture's own findings are read, since another picture's may be erased at any time. Each entry counts for
    one face, which limits the memory.

    Raises:
        Unavailable: the store is away.
    """
    references = _references(document, image_id)
    if not references:
        return {}
    found = _findings(store, findings_key(image_id))
    chosen = {place: embedding_of(found[index]) for index, place in references.items() if index < len(found)}
    return {place: embedding for place, embedding in chosen.items() if embedding is not None}


def findings_key(image_id: object) -> str:
    """Return the key of a picture's findings."""
    return f"findings/{image_id}.json"


def embedding_of(found: object) -> Embedding | None:
    """Return the embedding in an entry of findings/; None where it is invalid."""
    numbers = found.get("embedding") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(numbers, list) or len(numbers) != EMBEDDING_SIZE:
        return None
    if not set(map(type, numbers)) <= {float, int}:
        return None
    try:
        with np.errstate(over="ignore"):
            array = np.array(numbers, dtype="<f4")
    except (OverflowError, ValueError):
        return None
    return Embedding(array.tobytes(), clean.text(found.get("model"), 200)) if np.isfinite(array).all() else None


def _references(document: Document, image_id: object) -> dict[int, int]:
    """Map each entry of the picture's findings that a face refers to, to the position of its first face."""
    found: dict[int, int] = {}
    for place, face in enumerate(clean.objects(document.get("faces"))):
        reference = face.get("embedding")
        if isinstance(reference, dict) and reference.get("key") == findings_key(image_id):
            index = clean.whole(reference.get("index"))
            if index is not None:
                found.setdefault(index, place)
    return found


def _findings(store: ObjectStore, key: str) -> list[Any]:
    try:
        found = parse(store.get(key, MAX_FINDINGS_BYTES), key).get("faces")
    except (NotFound, BadMessage, TooLarge) as error:
        logs.get().warning("embeddings left out", key=key, reason=str(error))
        return []
    return found if isinstance(found, list) else []

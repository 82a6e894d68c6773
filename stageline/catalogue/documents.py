"""Reading documents and the embeddings they refer to out of the bucket; they may come from anybody."""

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

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024  # bytes of results that are read: what a message can become, and more
MAX_FINDINGS_BYTES = 16 * 1024 * 1024


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
        return parse(store.get(key, MAX_DOCUMENT_BYTES), key)
    except TooLarge as error:
        raise BadMessage(str(error)) from error


def wants_embeddings(document: Document, image_id: str) -> bool:
    """Whether any face of the document says where its embedding is."""
    return bool(_references(document, image_id))


def read_embeddings(store: ObjectStore, document: Document, image_id: str) -> dict[int, Embedding]:
    """Read the embeddings that the faces refer to, by the faces' places; without those that are no good.

    Only the picture's own findings are read, and each entry of theirs counts for one face: another picture's may be
    erased any day, and so much is in memory at most.

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
    """The key of a picture's findings."""
    return f"findings/{image_id}.json"


def embedding_of(found: object) -> Embedding | None:
    """Take an embedding out of an entry of findings/; None where it is none."""
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
    """The entries of the picture's findings that its faces refer to, and the place of the first face that does."""
    found: dict[int, int] = {}
    for place, face in enumerate(clean.objects(document.get("faces"))):
        told = face.get("embedding")
        if isinstance(told, dict) and told.get("key") == findings_key(image_id):
            index = clean.whole(told.get("index"))
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

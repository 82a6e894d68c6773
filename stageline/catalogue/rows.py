"""Makes the catalogue's rows of a picture from its document, the results or the first message. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from stageline.catalogue import clean, history
from stageline.catalogue.history import RANKS
from stageline.core.errors import BadMessage
from stageline.pipeline.filenames import MAX_BYTES, lookup_key
from stageline.pipeline.message import ID

Row = dict[str, Any]
Document = Mapping[str, Any]
ENDED = ("completed", "failed")
FINDERS = ("detect", "classify")  # the stages that make findings
SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class FindingRow(NamedTuple):
    """A list of findings in a document: its stage, its name there, and its task in the catalogue."""

    stage: str
    name: str
    task: str
    category: str = "category"
    confidence: str = "confidence"
    named: bool = True  # false: candidates and guesses


FINDINGS = (
    FindingRow("detect", "detections", "object-detection", "label", "score"),
    FindingRow("classify", "categories", "image-classification"),
    FindingRow("classify", "candidates", "image-classification", named=False),
    FindingRow("classify", "imagenet", "imagenet", named=False),
)


class Embedding(NamedTuple):
    """A face's embedding, as little-endian float32, and the model that made it."""

    data: bytes
    model: str | None


@dataclass
class PictureRows:
    """All rows of one picture."""

    image: Row
    predictions: list[Row] = field(default_factory=list)
    faces: list[Row] = field(default_factory=list)
    tasks: list[Row] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of rows."""
        return 1 + len(self.predictions) + len(self.faces) + len(self.tasks) + len(self.history)


def rows_of(document: Document, embeddings: Mapping[int, Embedding], retention_days: int) -> PictureRows:
    """Make a picture's rows; ``embeddings`` are those of its faces, by their position.

    Missing and invalid values are left out, since documents are untrusted.

    Raises:
        BadMessage: the picture's id or its status is invalid.
    """
    image_id, status = document.get("image_id"), document.get("status")
    if not (isinstance(image_id, str) and ID.fullmatch(image_id)):
        raise BadMessage(f"the document's image_id must match {ID.pattern}")
    if not isinstance(status, str) or status not in RANKS:
        raise BadMessage(f"the status of {image_id} must be one of {', '.join(RANKS)}")
    attempts = history.entries(document)
    image = _image(document, image_id, status, attempts, retention_days)
    stages = document.get("stages")
    finders = {name: history.entry_of(stages.get(name)) for name in FINDERS} if isinstance(stages, dict) else {}
    return PictureRows(
        image=image,
        predictions=[row for kind in FINDINGS for row in _predictions(document, image, kind, finders.get(kind.stage))],
        faces=_faces(document, image_id, embeddings),
        tasks=history.tasks(document, image),
        history=history.rows(image_id, attempts),
    )


def expiry(uploaded_at: datetime, retention_days: int) -> datetime | None:
    """Return when a picture expires; None when everything is kept."""
    try:
        return uploaded_at + timedelta(days=retention_days) if retention_days else None
    except OverflowError:
        return None


def _image(document: Document, image_id: str, status: str, attempts: list[history.Entry], retention_days: int) -> Row:
    uploaded_at = _uploaded_at(document, image_id, attempts)
    completed_at = clean.time(document.get("completed_at")) if status in ENDED else None
    sha256 = document.get("sha256")
    filename = clean.text(document.get("filename"), MAX_BYTES)
    return {
        "image_key": image_id,
        "filename": filename,
        "filename_key": lookup_key(filename) if filename else None,
        "filename_guessed": True if document.get("filename_guessed") is True else None,
        "kind": clean.text(document.get("kind"), 32),
        "status": status,
        "reason": clean.text(document.get("reason"), clean.MAX_TEXT) if status in ENDED else None,
        "failed_stage": clean.text(document.get("failed_stage"), 64) if status == "failed" else None,
        "width": clean.whole(document.get("origin_w")),
        "height": clean.whole(document.get("origin_h")),
        "bytes": clean.whole(document.get("file_size"), most=clean.MAX_BIG),
        "sha256": sha256.lower() if isinstance(sha256, str) and SHA256.fullmatch(sha256) else None,
        "original_path": clean.text(document.get("original_path"), 128),
        "batch_id": clean.text(document.get("batch_id"), 64),
        "run": history.run_of(document),
        "rank": RANKS[status],
        "uploaded_at": uploaded_at,
        "updated_at": clean.time(document.get("updated_at")) or completed_at or uploaded_at,
        "completed_at": completed_at,
        "expires_at": expiry(uploaded_at, retention_days),
    }


def _uploaded_at(document: Document, image_id: str, attempts: list[history.Entry]) -> datetime:
    """Return the time of upload, or the best estimate where a foreign producer gave none."""
    runs = clean.objects(document.get("runs"))
    found = clean.time(document.get("uploaded_at")) or (clean.time(runs[0].get("created_at")) if runs else None)
    began = min((each.started for each in attempts if each.started), default=None)
    made = clean.ulid_time(image_id)  # by its maker's clock; the upload was before the first stage
    found = found or (min(made, began) if made and began else made or began)
    return found or clean.time(document.get("updated_at")) or clean.time(document.get("completed_at")) or clean.EARLIEST


def _predictions(document: Document, image: Row, kind: FindingRow, entry: history.Entry | None) -> list[Row]:
    """Make the rows of one list of findings.

    The positions of candidates and guesses count down from -1, so that they never meet those of categories.
    """
    hostname = history.label_of(entry.worker) if entry else None
    found_at = (entry.finished if entry else None) or image["updated_at"]
    rows = []
    for position, found in enumerate(clean.objects(document.get(kind.name))):
        category, confidence = clean.text(found.get(kind.category)), clean.number(found.get(kind.confidence))
        if not category or confidence is None:
            continue
        model, version = split_model(found.get("model"))
        rows.append(
            {
                "image_key": image["image_key"],
                "task": kind.task,
                "position": position if kind.named else -1 - position,
                "category": category,
                "confidence": confidence,
                "hostname": hostname,
                "time": found_at,
                "model": model,
                "version": version,
                "model_sha256": clean.text(found.get("model_sha256"), 64),
                "box": clean.box(found.get("box")),
                "uploaded_at": image["uploaded_at"],
                "named": kind.named,
            }
        )
    return rows


def _faces(document: Document, image_id: str, embeddings: Mapping[int, Embedding]) -> list[Row]:
    rows = []
    for position, face in enumerate(clean.objects(document.get("faces"))):
        model, version = split_model(face.get("model"))
        embedding = embeddings.get(position)
        rows.append(
            {
                "image_key": image_id,
                "position": position,
                "score": clean.number(face.get("score")),
                "box": clean.box(face.get("box")),
                "landmarks": clean.points(face.get("landmarks")),
                "model": model,
                "version": version,
                "embedding": embedding.data if embedding else None,
                "embedding_model": embedding.model if embedding else None,
            }
        )
    return rows


def split_model(reference: object) -> tuple[str | None, str | None]:
    """Split ``name@version``; a missing version is None."""
    found = clean.text(reference, 200)
    if not found:
        return None, None
    name, _, version = found.partition("@")
    return name or None, version or None

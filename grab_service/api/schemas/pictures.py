"""Requests and answers about pictures."""

from typing import Annotated, Any, Literal

from pydantic import Field

from grab_service.api.schemas.common import Answer, Box, Counts, Guessed, Moment, Parameters, Text, Whole, like
from stageline.pipeline import line
from stageline.pipeline.filenames import MAX_BYTES

Shown = Literal[tuple(folder.name for folder in line.pictures())]  # type: ignore[valid-type] # the line is a table
Status = Literal["submitted", "processing", "waiting", "completed", "failed"]
MAX_PICTURES = 200
LABEL = r"^\w[\w '.,()/&+-]{0,127}$"  # the form of networks' labels
NO_LABEL = "it must be a label, as `car`: 1 to 128 characters, the first a letter or a digit; leave it out for all"


class ImageQuery(Parameters):
    """Which of its pictures."""

    stage: Shown = Field(  # type: ignore[valid-type]
        "original", description="the picture as this stage left it"
    )


class StageEntry(Answer):
    """What a stage did, or does."""

    state: str = Field(description="waiting, working, retrying, done, failed or lost", examples=["done"])


class DetectionMetadata(Answer):
    """What was found, in short."""

    count: int
    by_class: Counts
    faces: int


class BlurMetadata(Answer):
    """What was blurred."""

    count: int
    regions: list[Box]


class PictureStatus(Answer):
    """Where a picture is, what each stage did, and, at the end, what was found."""

    image_id: str
    job_id: str = Field(description="the same as image_id")
    filename: str | None
    filename_guessed: Guessed = False
    file_size: int | None
    width: int | None = Field(description="of the original as it is meant to be seen, in pixels")
    height: int | None
    orientation: int | None = Field(
        description="how the original is stored, 1 to 8 as EXIF's tag 274 has it: boxes are of the picture turned by it"
    )
    status: str = Field(examples=["completed"])
    kind: str | None = Field(description="face or object, once that is known")
    run: int = Field(description="how many times it was sent down the line")
    task_id: str
    created_at: str | None
    updated_at: str | None
    processing_time: float | None = Field(description="seconds from its acceptance to its end")
    original_path: str | None
    original_image_path: str | None = Field(examples=["s3://images/original/01JD3Y5ZV5T0K8Q1Z2X3C4V5B6.jpg"])
    processed_image_path: str | None = Field(examples=["s3://images/tagged/01JD3Y5ZV5T0K8Q1Z2X3C4V5B6.jpg"])
    detection_metadata: DetectionMetadata | None
    blur_metadata: BlurMetadata | None
    estimated_seconds_left: float | None
    position: int | None = Field(description="how many unfinished pictures were accepted before it")
    reason: str | None = Field(None, description="why it failed")
    failed_stage: str | None = None
    batch_id: str | None = None
    stages: dict[str, StageEntry]
    results: dict[str, Any] | None = Field(
        description="results/<id>.json: all that is known of it; categories are what is named, candidates what is not"
    )


class ImagesQuery(Parameters):
    """Which pictures, newest first."""

    limit: Whole = Field(50, ge=1, le=MAX_PICTURES, description="how many at most")
    cursor: str | None = Field(None, max_length=512, description="next_cursor of the page before")
    status: Status | None = None
    kind: Literal["face", "object"] | None = None
    category: Annotated[Text, like(LABEL, NO_LABEL)] | None = Field(
        None,
        description="what it was named: a label of an object in it, or a category; no candidate",
        json_schema_extra={"pattern": LABEL},
    )
    since: Moment | None = Field(
        None, description="uploaded then or later", json_schema_extra={"example": "2026-11-21T14:00:00Z"}
    )
    until: Moment | None = Field(None, description="uploaded before then")
    filename: Text | None = Field(
        None, min_length=1, max_length=MAX_BYTES, description="its name, whole, in whichever normal form"
    )


class Links(Answer):
    """Where more is to be had."""

    status: str
    original: str
    tagged: str | None = None


class Category(Answer):
    """What a picture shows."""

    category: str
    confidence: float | None
    objects: int = Field(description="how many objects have it as the detector's label; 0: a classifier's word")


class Picture(Answer):
    """A picture, as the catalogue has it."""

    image_id: str
    filename: str | None
    filename_guessed: Guessed = False
    status: str
    kind: str | None
    width: int | None
    height: int | None
    file_size: int | None
    sha256: str | None
    uploaded_at: str | None
    updated_at: str | None
    completed_at: str | None
    expires_at: str | None
    batch_id: str | None
    run: int
    reason: str | None
    failed_stage: str | None
    categories: list[Category]
    faces: int
    links: Links


class Pictures(Answer):
    """A page of pictures."""

    images: list[Picture]
    next_cursor: str | None = Field(description="for the next page; null after the last")


class StoredFile(Answer):
    """An object that a stage made."""

    key: str
    size: int | None
    etag: str | None


class LedgerStage(Answer):
    """What a stage did, and what it left."""

    stage: str
    state: str
    attempt: int | None
    worker: str | None
    started: str | None
    finished: str | None
    ms: float | None
    reason: str | None
    objects: list[StoredFile]


class Ledger(Answer):
    """What every stage did to a picture."""

    image_id: str
    run: int
    status: str
    stages: list[LedgerStage]
    history: list[dict[str, Any]] = Field(description="what was tried before")


class TaskPath(Parameters):
    """One way of a picture down the line."""

    task_id: str = Field(json_schema_extra={"example": "01JD3Y5ZV5T0K8Q1Z2X3C4V5B6.1"})


class TaskStep(Answer):
    """One try of one stage."""

    stage: str
    attempt: int | None
    state: str | None
    worker: str | None
    started: str | None
    finished: str | None
    ms: float | None
    error: str | None


class TaskAnswer(Answer):
    """One way of a picture down the line, with all that was tried."""

    task_id: str
    image_id: str
    run: int
    from_: str | None = Field(alias="from")
    status: str | None
    created_at: str | None
    finished_at: str | None
    reason: str | None
    history: list[TaskStep]

"""Requests and answers of uploads."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from grab_service.api.schemas.common import Answer, Counts, Flag, Guessed, Parameters, Problem, Whole, like
from stageline.pipeline import line

MAX_WAIT = 60
StageName = StrEnum("StageName", [stage.name for stage in line.LINE])  # type: ignore[misc] # the line is a table
KEY = "^[!-~]{1,255}$"
Key = Annotated[
    str,
    like(KEY, "it must be 1 to 255 visible ASCII characters, with no space"),
    Field(description="an upload of the same key happens once a day", json_schema_extra={"pattern": KEY}),
]


class UploadQuery(Parameters):
    """How a picture is to be taken."""

    process: Flag = Field(True, description="false: it waits for POST /process once it is known what kind it is")
    wait: Whole = Field(0, ge=0, le=MAX_WAIT, description="seconds to wait for the results before answering 202")
    follow: Flag = Field(False, description="true: each stage is told as it happens, a JSON object a line")
    dedupe: Flag = Field(False, description="true: a picture that is there already is answered with 200 and its id")
    filename: str | None = Field(
        None, max_length=4096, description="the name of a picture that is sent as the raw body"
    )


class BatchQuery(Parameters):
    """How the pictures of a batch are to be taken."""

    process: Flag = Field(True, description="false: they wait for POST /process once it is known what kind they are")
    dedupe: Flag = Field(False, description="true: a picture that is there already is not taken again")


class Once(Parameters):
    """A header that makes an upload repeatable."""

    idempotency_key: Key | None = Field(None, alias="Idempotency-Key")


class Accepted(Answer):
    """A picture that was taken."""

    image_id: str = Field(examples=["01JD3Y5ZV5T0K8Q1Z2X3C4V5B6"])
    job_id: str = Field(description="the same as image_id")
    task_id: str = Field(
        description="the picture's present way down the line", examples=["01JD3Y5ZV5T0K8Q1Z2X3C4V5B6.1"]
    )
    filename: str = Field(examples=["street.jpg"])
    filename_guessed: Guessed = False
    file_size: int = Field(examples=[163840])
    status: str = Field(examples=["submitted"])
    message: str
    estimated_seconds: float | None = Field(description="until it has come to its end; null while that is not known")
    duplicate: bool = Field(False, description="true: it was there already, and was not taken again")


class BatchFile(Answer):
    """One file of a batch: a picture that was taken, or a problem."""

    filename: str
    filename_guessed: Guessed = False
    image_id: str | None = None
    status_url: str | None = None
    problem: Problem | None = None


class BatchAccepted(Answer):
    """A batch that was taken."""

    batch_id: str
    accepted: int
    refused: int
    files: list[BatchFile]


class BatchPath(Parameters):
    """A batch's id."""

    batch_id: str = Field(description="what POST /batch-upload answered")


class BatchMember(Answer):
    """One file of a batch, as it stands."""

    filename: str | None
    filename_guessed: Guessed = False
    image_id: str | None = None
    status: str | None = None
    problem: Problem | None = None


class Batch(Answer):
    """A batch, as it stands."""

    batch_id: str
    created_at: str | None
    total: int
    counts: Counts = Field(description="how many pictures have each status")
    done: bool = Field(description="whether none of them moves any more")
    estimated_seconds_left: float | None
    files: list[BatchMember]


class ProcessQuery(Parameters):
    """Where to begin."""

    from_stage: StageName | None = Field(
        None, alias="from", description="begin at this stage, with what the one before it had made"
    )


class Processing(Answer):
    """A picture that was sent on, or sent again."""

    task_id: str
    image_id: str
    run: int
    from_: str = Field(alias="from", description="the stage where it begins")
    status: Literal["submitted", "processing"]


FORM: dict[str, Any] = {
    "type": "object",
    "properties": {name: {"type": "string", "format": "binary"} for name in ("image", "file")},
    "anyOf": [{"required": ["image"]}, {"required": ["file"]}],
}
RAW = {"type": "string", "format": "binary"}
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "description": "a JPEG, PNG, WebP, GIF or BMP, as the field `image` or `file` of a form, or as the raw body",
        "content": {"multipart/form-data": {"schema": FORM}, "application/octet-stream": {"schema": RAW}},
    }
}
MANY: dict[str, Any] = {"type": "array", "items": RAW}
BATCH_FORM = {"type": "object", "properties": dict.fromkeys(("image", "file", "images", "files"), MANY)}
BATCH_BODY = {
    "requestBody": {
        "required": True,
        "description": "any number of pictures, as fields `image`, `file`, `images` or `files`",
        "content": {"multipart/form-data": {"schema": BATCH_FORM}},
    }
}

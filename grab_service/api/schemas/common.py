"""Types and models shared by the schemas."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from grab_service.api.problems import PROBLEM

FLAGS = {"true": True, "false": False}
ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)
WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def _flag(value: object) -> object:
    if isinstance(value, str) and value not in FLAGS:
        raise ValueError("it must be true or false")
    return FLAGS[value] if isinstance(value, str) else value


def _whole(value: object) -> object:
    if isinstance(value, str) and not WHOLE.fullmatch(value):
        raise ValueError("it must be a whole number")
    return value


def _moment(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is too far away") from None


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("it must not hold a NUL character")
    return value


def _iso(value: object) -> object:
    if isinstance(value, str) and not ISO.match(value):
        raise ValueError("it must be a time in ISO 8601, as 2026-11-21T14:00:00Z")
    return value


def like(pattern: str, sentence: str) -> AfterValidator:
    """Refuse other text with this sentence; the field itself gives the pattern to the schema."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(sentence)
        return value

    return AfterValidator(check)


Moment = Annotated[AwareDatetime, BeforeValidator(_iso), AfterValidator(_moment)]
Text = Annotated[str, AfterValidator(_text)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Whole = Annotated[int, BeforeValidator(_whole)]
Box = Annotated[list[float], Field(description="[x1, y1, x2, y2] in pixels of the original as it is meant to be seen")]
Counts = dict[str, int]
Guessed = Annotated[
    bool, Field(description="true: the name came in an encoding that was not said, and is a best guess")
]


class Parameters(BaseModel):
    """Parameters: those it names, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """An answer: what it names is there; more may come with a later version."""

    model_config = ConfigDict(extra="allow")


class FieldProblem(BaseModel):
    """A parameter that is not what it must be."""

    field: str = Field(examples=["limit"])
    message: str = Field(examples=["Input should be less than or equal to 200, not '1000000'"])


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(description="a sentence: what happened, and what to do", examples=["no picture has the id x"])
    errors: list[FieldProblem] = Field([], description="with 422: each wrong field")


class ImagePath(Parameters):
    """A picture's id."""

    image_id: str = Field(description="the picture's id", json_schema_extra={"example": "01JD3Y5ZV5T0K8Q1Z2X3C4V5B6"})


class NamePath(Parameters):
    """A picture's id, or its filename."""

    image_id: str = Field(
        description="the picture's id, or its filename: then the newest picture of that name",
        json_schema_extra={"example": "01JD3Y5ZV5T0K8Q1Z2X3C4V5B6"},
    )


def responses(good: Mapping[int, Any], *problems: int) -> dict[str | int | HTTPStatus, Any]:
    """Describe an operation's answers: the successful ones and its problems, with 405, 422, 500 and 503 always."""
    of = {status: HTTPStatus(status).phrase for status in {*problems, 405, 422, 500, 503}}
    problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    described: dict[str | int | HTTPStatus, Any] = dict(good.items())
    described |= {status: {"description": phrase, "content": problem} for status, phrase in sorted(of.items())}
    return described


def content(kind: str, description: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe an answer that is not JSON."""
    return {"description": description, "content": {kind: {"schema": dict(schema or {"type": "string"})}}}

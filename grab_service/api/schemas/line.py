"""Requests and answers about the line: queues, health, statistics, faces, dead letters, models."""

from typing import Any

from pydantic import Field

from grab_service.api.schemas.common import Answer, Box, Counts, Guessed, Parameters, Whole
from grab_service.api.schemas.uploads import FORM, RAW

MAX_FACES = 100
MAX_REPLAYS = 1000


class QueueStatus(Answer):
    """What waits, is in flight, is delayed and is dead, by stage and in all.

    ``pending`` is the first three together: what is yet to be done, which autoscalers go by.
    """

    stages: dict[str, Counts]
    total: Counts
    unfinished: int
    max_queue_size: int


class Outcomes(Answer):
    """What the catalogue has yet to write down."""

    waiting: int
    still_seconds: float = Field(description="for how long it has written none of them; 0 while none waits")


class Health(Answer):
    """What is there and what is not."""

    status: str = Field(description="ready, degraded or unavailable", examples=["ready"])
    version: str
    checks: dict[str, str] = Field(examples=[{"redis": "ok", "object_store": "ok", "catalogue": "ok", "cache": "off"}])
    workers: Counts = Field({}, description="living workers by stage")
    missing_models: dict[str, dict[str, str]] = Field(
        {}, description="models that a stage lacks, by stage and name: how to get each"
    )
    refused_models: dict[str, dict[str, str]] = Field(
        {}, description="models that a stage did not take up, by stage and name: why"
    )
    outcomes: Outcomes | None = None
    problems: list[str] = Field([], description="a sentence for each thing that is wrong")
    console_url: str | None = Field(None, description="the object store's own web page, where MINIO_CONSOLE_URL is set")


class Alive(Answer):
    """The process answers."""

    status: str


class StatsQuery(Parameters):
    """Of which time."""

    minutes: Whole = Field(15, ge=1, le=60, description="the last so many minutes")


class Percentiles(Answer):
    """Seconds that half, 95 and 99 of a hundred pictures took at most."""

    p50: float | None
    p95: float | None
    p99: float | None


class StageStats(Answer):
    """A stage's figures."""

    done: int
    retried: int
    failed: int


class Stats(Answer):
    """The line's figures."""

    minutes: int
    at: str = Field(description="the time now, by the line's clock", examples=["2026-11-21T14:00:42.100Z"])
    accepted: int
    completed: int
    failed: int
    success_rate: float | None
    throughput_per_second: float
    latency_seconds: Percentiles | None
    catalogue: Counts | None = Field(description="pictures in the catalogue by status; null while it is away")
    stages: dict[str, StageStats]
    series: list[dict[str, Any]]


class FacesQuery(Parameters):
    """How many."""

    limit: Whole = Field(10, ge=1, le=MAX_FACES)
    filename: str | None = Field(None, max_length=4096)


class FaceQuestion(Parameters):
    """A face of a picture that the line knows."""

    image_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    face: int = Field(0, ge=0, le=10_000, strict=True, description="which of its faces, from 0")


class SimilarFace(Answer):
    """A face that looks like the one asked for."""

    image_id: str
    filename: str | None
    filename_guessed: Guessed = False
    width: int | None = Field(description="of its picture as it is meant to be seen, in pixels")
    height: int | None
    face: int
    box: Box | None
    similarity: float = Field(description="the cosine of the angle between the embeddings: 1 is the same")


class Faces(Answer):
    """The nearest faces."""

    model: str | None
    faces: list[SimilarFace]


class ReplayQuestion(Parameters):
    """Which of the dead are to be sent again: these, or all, at most 1,000 at once."""

    image_ids: list[str] | None = Field(None, min_length=1, max_length=MAX_REPLAYS)
    all: bool = Field(False, strict=True)


class Replayed(Answer):
    """A picture that was sent again."""

    image_id: str
    task_id: str


class NotReplayed(Answer):
    """A picture that was not, and why."""

    image_id: str | None
    detail: str


class Replays(Answer):
    """What came of each."""

    replayed: list[Replayed]
    refused: list[NotReplayed]
    left: int = Field(description="how many dead letters were not come to: ask again")


class Model(Answer):
    """A model: what is served, what there is, what its card says."""

    name: str
    task: str | None
    serving: str | None = Field(examples=["yolox-nano@0.1.1-1"])
    previous: str | None
    versions: list[str]
    card: dict[str, Any] | None
    installed: bool
    how_to_get: str | None = None


class Models(Answer):
    """Every model that the line knows."""

    models: list[Model]


class Resume(Parameters):
    """Where to go on."""

    last_event_id: str | None = Field(
        None, alias="Last-Event-ID", max_length=64, description="id of the last event told"
    )


QUESTION_OR_PICTURE = {
    "requestBody": {
        "required": True,
        "description": 'a face that the line knows, as {"image_id": "…", "face": 0}, or a picture as in POST /upload',
        "content": {
            "application/json": {"schema": FaceQuestion.model_json_schema()},
            "multipart/form-data": {"schema": FORM},
            "application/octet-stream": {"schema": RAW},
        },
    }
}

"""Queues, health, statistics, models and dead letters of the line."""

from http import HTTPStatus
from typing import Any

from flask import Response, current_app
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from grab_service.api.answers import answer
from grab_service.api.problems import RETRY_SECONDS, BadParameters, FieldError
from grab_service.api.schemas.common import content, responses
from grab_service.api.schemas.line import Alive, Health, Models, QueueStatus, ReplayQuestion, Replays, Stats, StatsQuery
from grab_service.http.validation import checked
from grab_service.images.lookup import lookup
from grab_service.images.reruns import Reruns
from grab_service.line import statistics
from grab_service.line.intake import intake
from grab_service.line.statistics import LineStatistics
from stageline import __version__
from stageline.core import metrics
from stageline.worker import health

routes = APIBlueprint("line", __name__, abp_tags=[Tag(name="line", description="How the line is.")])
HEALTH = {**responses({200: Health}), 503: Health}


@routes.get("/stats", responses=responses({200: Stats}))
@checked
def stats(query: StatsQuery) -> Response:
    """Sum up the last minutes: counts, throughput, latency, by stage and by minute."""
    return answer(LineStatistics(intake()).stats(query.minutes))


@routes.get("/queue-status", responses=responses({200: QueueStatus}))
@checked
def queue_status() -> Response:
    """Count the messages of every stage."""
    return answer(intake().queues())


@routes.get("/health", responses=HEALTH)
@checked
def whole_health() -> Response:
    """Say what is there and what is not, of the whole line."""
    return _reported(*LineStatistics(intake()).health())


@routes.get("/readyz", responses=HEALTH)
@checked
def readyz() -> Response:
    """Say whether the API can work: Redis takes writes, and the object store answers."""
    report, code = health.readiness(intake().probes.reach())
    return _reported({**report, "version": __version__}, code)


@routes.get("/healthz", responses=responses({200: Alive}))
@checked
def healthz() -> Response:
    """Say that the process answers."""
    return answer({"status": "alive"})


@routes.get("/metrics", responses=responses({200: content("text/plain", "the metrics")}))
@checked
def metrics_page() -> Response:
    """The metrics, for Prometheus."""
    for stage, counts in intake().queues()["stages"].items():
        for state, count in counts.items():
            metrics.QUEUE_MESSAGES.labels(stage, state).set(count)
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


@routes.get("/models", responses=responses({200: Models}))
@checked
def models() -> Response:
    """List the models: what is served, what there is, what the cards say."""
    return answer({"models": statistics.models(current_app.config["MODELS"])})


@routes.post("/dead/replay", responses=responses({200: Replays}, 400, 413, 415))
@checked
def replay(body: ReplayQuestion) -> Response:
    """Send dead letters down the line again: those of the pictures named, or all."""
    if body.all == (body.image_ids is not None):
        raise BadParameters(
            [FieldError("image_ids", 'name pictures in image_ids, or say {"all": true}: one of the two')]
        )
    return answer(Reruns(intake(), lookup()).replay(body.image_ids))


def _reported(report: dict[str, Any], code: int) -> Response:
    headers = {"Retry_After": str(RETRY_SECONDS)} if code == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return answer(report, code, **headers)

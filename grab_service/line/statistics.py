"""Figures of the line: throughput of the last minutes, health, and models."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from grab_service.line.intake import Intake
from stageline import __version__
from stageline.broker import overview
from stageline.broker import statistics as stats
from stageline.broker.overview import Overview
from stageline.core.errors import ModelError, Unavailable
from stageline.registry.install import how_to_get, manifest
from stageline.registry.repository import Repository
from stageline.worker import health

NEEDED = ("redis", "object_store")  # to accept pictures
SHOWN = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "throughput_per_second")


class LineStatistics:
    """Reads the statistics and the health of the line."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def stats(self, minutes: int) -> dict[str, Any]:
        """Return the figures of the last minutes.

        Raises:
            Unavailable: Redis is away.
        """
        figures = stats.read(self._intake.client, minutes)
        whole, depths, workers = figures["line"], self._intake.queues()["stages"], self.workers()
        ended = whole.get("completed", 0) + whole.get("failed", 0)
        latency = {name: _seconds(whole[f"{name}_ms"]) for name in ("p50", "p95", "p99")}
        stages = {}
        for name, each in figures["stages"].items():
            counted = {result: each.get(result, 0) for result in ("done", "retried", "failed")}
            shown = {figure: each[figure] for figure in SHOWN}
            stages[name] = {**counted, **shown, "workers": workers.get(name, 0), **depths[name]}
        return {
            "minutes": minutes,
            "at": figures["at"],
            **{name: whole.get(name, 0) for name in ("accepted", "completed", "failed")},
            "success_rate": round(whole.get("completed", 0) / ended, 4) if ended else None,
            "throughput_per_second": whole["throughput_per_second"],
            "latency_seconds": None if latency["p50"] is None else latency,
            "catalogue": self._catalogued(),
            "stages": stages,
            "series": figures["series"],
        }

    def workers(self) -> Mapping[str, int]:
        """Count the workers of each stage with a heartbeat within their lease.

        Raises:
            Unavailable: Redis is away.
        """
        return overview.read(self._intake.client, self._intake.settings.lease_seconds).workers

    def health(self) -> tuple[dict[str, Any], int]:
        """Check everything, for HEALTH_TIMEOUT seconds at most.

        The HTTP status is 503 if the API cannot accept pictures, 200 if only other services cannot work.
        """
        asked = self._intake.probes.look()
        report, code = health.readiness({name: asked[name] for name in NEEDED})
        checks = report["checks"]
        problems = [result for result in checks.values() if result != "ok"]
        line = self._overview(asked["overview"], checks, problems)
        for name in ("catalogue", "cache"):
            checks[name] = _result(asked[name], problems)
        if checks["object_store"] == "ok":
            _result(asked["room"], problems)
        if self._intake.reaper is not None and self._intake.reaper.failing:
            problems.append(self._intake.reaper.failing)
        if problems and code == 200:  # noqa: PLR2004 - HTTP's
            report["status"] = "degraded"
        return {
            **report,
            "version": __version__,
            "workers": line.workers,
            "missing_models": line.missing,
            "refused_models": line.refused,
            "outcomes": {"waiting": line.outcomes, "still_seconds": line.still_seconds},
            "problems": problems,
            "console_url": self._intake.settings.minio_console_url,
        }, code

    def _overview(self, asked: Callable[[], Overview], checks: Mapping[str, str], problems: list[str]) -> Overview:
        """Return the overview of the line and add its problems, but not those that follow from Redis being away."""
        try:
            line = asked()
        except Unavailable as error:
            if checks["redis"] == "ok":
                problems.append(str(error))
            return Overview()
        if checks["redis"] == "ok":  # otherwise no heartbeat arrives and nothing moves
            problems += line.problems
            problems += line.away if checks["object_store"] == "ok" else ()
        return line

    def _catalogued(self) -> dict[str, int] | None:
        try:
            return self._counts()
        except Unavailable:
            return None

    def _counts(self) -> dict[str, int]:
        """Return the catalogue's counts; they are kept for some seconds, since counting a million rows is slow."""
        kept, until = self._intake.counted
        if time.monotonic() < until:
            return kept
        began = time.monotonic()
        counts = self._intake.catalogue.counts()
        took = time.monotonic() - began
        self._intake.counted = counts, time.monotonic() + max(2.0, 50 * took)
        return counts


def models(repository: Repository) -> list[dict[str, Any]]:
    """Return every published or known model with its versions, the served one and its card.

    Raises:
        Unavailable: the model store is away.
    """
    published, known = repository.versions(), manifest()
    return [_model(repository, name, published.get(name, [])) for name in sorted({*published, *known})]


def _model(repository: Repository, name: str, versions: list[str]) -> dict[str, Any]:
    entry = manifest().get(name, {})
    model: dict[str, Any] = {"name": name, "task": entry.get("task"), "serving": None, "previous": None}
    model |= {"versions": sorted(versions), "card": None, "installed": bool(versions)}
    try:
        pointer = repository.pointer(name)
        if pointer:
            card = repository.card(name, pointer.version)
            model |= {"serving": card.reference, "previous": pointer.previous and f"{name}@{pointer.previous}"}
            model |= {"task": card.task, "card": card.model_dump(mode="json", exclude={"labels", "files"})}
    except ModelError as error:
        model["problem"] = str(error)
    return model if versions else {**model, "how_to_get": how_to_get(name)}


def _result(asked: Callable[[], str | None], problems: list[str]) -> str:
    """Return the result of a check, "ok" if it returned nothing; add a failure to the problems."""
    try:
        return asked() or "ok"
    except Unavailable as error:
        problems.append(str(error))
        return str(error)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else round(ms / 1000, 3)

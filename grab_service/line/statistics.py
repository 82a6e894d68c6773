"""The line in figures: what it did in the last minutes, what is there and what is not, which models it has."""

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

NEEDED = ("redis", "object_store")  # to take pictures
SHOWN = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "throughput_per_second")


class LineStatistics:
    """Counts."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def stats(self, minutes: int) -> dict[str, Any]:
        """Sum up the last minutes.

        Raises:
            Unavailable: Redis is away.
        """
        told = stats.read(self._intake.client, minutes)
        whole, depths, workers = told["line"], self._intake.queues()["stages"], self.workers()
        ended = whole.get("completed", 0) + whole.get("failed", 0)
        latency = {name: _seconds(whole[f"{name}_ms"]) for name in ("p50", "p95", "p99")}
        stages = {}
        for name, each in told["stages"].items():
            counted = {outcome: each.get(outcome, 0) for outcome in ("done", "retried", "failed")}
            shown = {figure: each[figure] for figure in SHOWN}
            stages[name] = {**counted, **shown, "workers": workers.get(name, 0), **depths[name]}
        return {
            "minutes": minutes,
            "at": told["at"],
            **{name: whole.get(name, 0) for name in ("accepted", "completed", "failed")},
            "success_rate": round(whole.get("completed", 0) / ended, 4) if ended else None,
            "throughput_per_second": whole["throughput_per_second"],
            "latency_seconds": None if latency["p50"] is None else latency,
            "catalogue": self._catalogued(),
            "stages": stages,
            "series": told["series"],
        }

    def workers(self) -> Mapping[str, int]:
        """Count the living workers of each stage: those that beat within their lease.

        Raises:
            Unavailable: Redis is away.
        """
        return overview.read(self._intake.client, self._intake.settings.lease_seconds).workers

    def health(self) -> tuple[dict[str, Any], int]:
        """Look at everything, for some seconds at most.

        The status is 503 where the API cannot take pictures, 200 where only others cannot work.
        """
        asked = self._intake.probes.look()
        report, code = health.readiness({name: asked[name] for name in NEEDED})
        checks = report["checks"]
        problems = [said for said in checks.values() if said != "ok"]
        told = self._told(asked["overview"], checks, problems)
        for name in ("catalogue", "cache"):
            checks[name] = _said(asked[name], problems)
        if checks["object_store"] == "ok":
            _said(asked["room"], problems)
        if self._intake.reaper is not None and self._intake.reaper.failing:
            problems.append(self._intake.reaper.failing)
        if problems and code == 200:  # noqa: PLR2004 - HTTP's
            report["status"] = "degraded"
        return {
            **report,
            "version": __version__,
            "workers": told.workers,
            "missing_models": told.missing,
            "refused_models": told.refused,
            "outcomes": {"waiting": told.outcomes, "still_seconds": told.still_seconds},
            "problems": problems,
            "console_url": self._intake.settings.minio_console_url,
        }, code

    def _told(self, asked: Callable[[], Overview], checks: Mapping[str, str], problems: list[str]) -> Overview:
        """What Redis knows of the line, its problems added; what follows from Redis itself being away is none more."""
        try:
            told = asked()
        except Unavailable as error:
            if checks["redis"] == "ok":
                problems.append(str(error))
            return Overview()
        if checks["redis"] == "ok":  # else no beat is taken, and nothing moves
            problems += told.problems
            problems += told.away if checks["object_store"] == "ok" else ()
        return told

    def _catalogued(self) -> dict[str, int] | None:
        try:
            return self._counts()
        except Unavailable:
            return None

    def _counts(self) -> dict[str, int]:
        """The catalogue's counts; to count a million rows takes it a while, so they are kept for some seconds."""
        kept, until = self._intake.counted
        if time.monotonic() < until:
            return kept
        began = time.monotonic()
        counts = self._intake.catalogue.counts()
        took = time.monotonic() - began
        self._intake.counted = counts, time.monotonic() + max(2.0, 50 * took)
        return counts


def models(repository: Repository) -> list[dict[str, Any]]:
    """Every model that is published or known: what is served, what there is, what its card says.

    Raises:
        Unavailable: the model store is away.
    """
    published, known = repository.versions(), manifest()
    return [_model(repository, name, published.get(name, [])) for name in sorted({*published, *known})]


def _model(repository: Repository, name: str, versions: list[str]) -> dict[str, Any]:
    entry = manifest().get(name, {})
    told: dict[str, Any] = {"name": name, "task": entry.get("task"), "serving": None, "previous": None}
    told |= {"versions": sorted(versions), "card": None, "installed": bool(versions)}
    try:
        pointer = repository.pointer(name)
        if pointer:
            card = repository.card(name, pointer.version)
            told |= {"serving": card.reference, "previous": pointer.previous and f"{name}@{pointer.previous}"}
            told |= {"task": card.task, "card": card.model_dump(mode="json", exclude={"labels", "files"})}
    except ModelError as error:
        told["problem"] = str(error)
    return told if versions else {**told, "how_to_get": how_to_get(name)}


def _said(asked: Callable[[], str | None], problems: list[str]) -> str:
    """What a check says, "ok" where it says nothing; what is wrong is added to the problems."""
    try:
        return asked() or "ok"
    except Unavailable as error:
        problems.append(str(error))
        return str(error)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else round(ms / 1000, 3)

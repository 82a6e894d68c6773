"""The line in figures: what it did in the last minutes, what is there and what is not, which models it has."""

import time
from collections import Counter
from typing import Any, cast

from grab_service.door import GrabDoor
from stageline import __version__, health, line, modelstore, stats
from stageline.errors import ModelError, Unavailable
from stageline.keys import WORKERS, queue_of
from stageline.modelstore import Repository
from stageline.modelstore.install import how_to_get
from stageline.redis_client import reaching_redis

BEHIND = 1000  # outcomes; the catalogue takes them by the hundred
SHOWN = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "throughput_per_second")


class Figures:
    """Counts."""

    def __init__(self, door: GrabDoor) -> None:
        self._door = door

    def stats(self, minutes: int) -> dict[str, Any]:
        """Sum up the last minutes.

        Raises:
            Unavailable: Redis is away.
        """
        told = stats.read(self._door.client, minutes)
        whole, depths, workers = told["line"], self._door.queues()["stages"], self.workers()
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

    def workers(self) -> dict[str, int]:
        """Count the living workers of each stage: those that beat within their lease."""
        with reaching_redis():
            seconds, micro = self._door.client.time()
            oldest = seconds + micro / 1e6 - self._door.settings.lease_seconds
            beating = cast("list[bytes]", self._door.client.zrangebyscore(WORKERS, oldest, "+inf"))
        counted = Counter(queue_of(identity.decode()) for identity in beating)
        return {stage.name: counted[stage.queue] for stage in line.LINE}

    def health(self) -> tuple[dict[str, Any], int]:
        """Look at everything; the status is 503 where the door itself cannot work, 200 where only others cannot."""
        report, code = health.readiness(self._door.checks())
        problems = [said for said in report["checks"].values() if said != "ok"]
        workers: dict[str, int] = {}
        if report["checks"]["redis"] == "ok":
            workers = self.workers()
            problems += [f"no {name} worker is alive: its queue waits" for name, count in workers.items() if not count]
        for name, check in (("catalogue", self._door.catalogue.check), ("cache", self._door.check_cache)):
            try:
                report["checks"][name] = check() or "ok"
            except Unavailable as error:
                report["checks"][name] = str(error)
                problems.append(str(error))
        behind = self._door.outcomes_waiting() if report["checks"]["redis"] == "ok" else 0
        if behind > BEHIND:
            problems.append(
                f"the catalogue is {behind} outcomes behind: see that catalogue_service runs (DATABASE_URL)"
            )
        if problems and code == 200:  # noqa: PLR2004 - HTTP's
            report["status"] = "degraded"
        told = {"version": __version__, "workers": workers, "problems": problems}
        return {**report, **told, "console_url": self._door.settings.minio_console_url}, code

    def _catalogued(self) -> dict[str, int] | None:
        try:
            return self._counts()
        except Unavailable:
            return None

    def _counts(self) -> dict[str, int]:
        """The catalogue's counts; to count a million rows takes it a while, so they are kept for some seconds."""
        kept, until = self._door.counted
        if time.monotonic() < until:
            return kept
        began = time.monotonic()
        counts = self._door.catalogue.counts()
        took = time.monotonic() - began
        self._door.counted = counts, time.monotonic() + max(2.0, 50 * took)
        return counts


def models(repository: Repository) -> list[dict[str, Any]]:
    """Every model that is published or known: what is served, what there is, what its card says.

    Raises:
        Unavailable: the model store is away.
    """
    published, known = repository.versions(), modelstore.manifest()
    return [_model(repository, name, published.get(name, [])) for name in sorted({*published, *known})]


def _model(repository: Repository, name: str, versions: list[str]) -> dict[str, Any]:
    entry = modelstore.manifest().get(name, {})
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


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else round(ms / 1000, 3)

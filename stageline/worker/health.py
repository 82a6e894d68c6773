"""/healthz, /readyz and /metrics, the same for every service."""

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from weakref import WeakSet
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import redis
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import NoPermissionError

from stageline.broker.redis_client import check_writes, reaching_redis
from stageline.core.errors import SettingsError, Unavailable
from stageline.registry.install import how_to_get
from stageline.registry.missing_models import degrading, missing
from stageline.registry.serving import ModelWatch
from stageline.store.base import STORE_PROBE, ObjectStore, StoredObject

OLDEST_REDIS = (6, 2)
PROBE_BYTES = 32 * 1024  # a disk that has no room for so little has none for a picture
_new_enough: WeakSet[redis.Redis] = WeakSet()


def readiness(
    checks: Mapping[str, Callable[[], object]], models: ModelWatch | None = None
) -> tuple[dict[str, Any], int]:
    """Try every server; return the report and its HTTP status.

    ``ready``; or ``degraded`` when a model that the stage cannot do without is missing, when one is refused, or when
    the model store is away (200: the service works, and says what is wrong); or ``unavailable`` (503) with a
    sentence for each server that is away.
    """
    report: dict[str, Any] = {"status": "ready", "checks": {}}
    if models is not None and models.served:
        report |= _models(models)
    for name, check in checks.items():
        try:
            check()
            report["checks"][name] = "ok"
        except Unavailable as error:
            report["checks"][name] = str(error)
            report["status"] = "unavailable"
    return report, 503 if report["status"] == "unavailable" else 200


def _models(models: ModelWatch) -> dict[str, Any]:
    """What is served, what is missing, what was refused and why."""
    report: dict[str, Any] = {"models": {}}
    for model in models.served:
        now = model.now()
        report["models"][model.name] = {"serving": now.card.reference if now else None}
        if model.refused:
            report["models"][model.name]["refused"] = model.refused
    lacking = missing(models.served)
    if lacking:
        report |= {"missing_models": lacking, "how_to_get_them": {name: how_to_get(name) for name in lacking}}
    if models.away:
        report["model_store"] = models.away
    if degrading(models.served) or models.away or any(model.refused for model in models.served):
        report["status"] = "degraded"
    return report


def check_redis(client: redis.Redis) -> None:
    """Reach Redis, and see that it takes writes; its version is looked at once for each client.

    Raises:
        Unavailable: it is away, takes no writes now, or is too old for BLMOVE.
    """
    check_writes(client)
    if client in _new_enough:
        return
    with reaching_redis():
        try:
            version = str(client.info("server").get("redis_version", ""))
        except NoPermissionError:  # INFO is not ours to ask: then whoever set this up knows
            version = ""
    if is_too_old(version):
        raise Unavailable(f"Redis {version} has no BLMOVE: Redis 6.2 or any Valkey is needed (REDIS_URL)")
    _new_enough.add(client)


def check_store_writes(store: ObjectStore) -> None:
    """Write a small object to the store, and remove it: one that is full, or lets us only read, answers too.

    Raises:
        Unavailable: it takes no writes, or is away.
    """
    try:
        store.put(StoredObject(STORE_PROBE, bytes(PROBE_BYTES), "application/octet-stream"))
    except Unavailable as error:
        raise Unavailable(f"the object store takes no writes, so no picture is taken: {error}") from error
    with contextlib.suppress(Unavailable):  # then the next one goes over it
        store.delete(STORE_PROBE)


def is_too_old(version: str) -> bool:
    """Whether a server of that version lacks BLMOVE; False when it does not tell."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return bool(numbers) and numbers < OLDEST_REDIS


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: probes come every few seconds."""


def serve(port: int, ready: Callable[[], tuple[dict[str, Any], int]]) -> None:
    """Answer on all addresses at ``port`` in a thread of its own.

    Raises:
        SettingsError: the port is taken.
    """

    def app(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        body, status, kind = _answer(environ.get("PATH_INFO", "/"), ready)
        start(f"{status} {HTTPStatus(status).phrase}", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    try:
        server = make_server("", port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise SettingsError(f"HEALTH_PORT={port}: cannot listen there: {error}") from error
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


def _answer(path: str, ready: Callable[[], tuple[dict[str, Any], int]]) -> tuple[bytes, int, str]:
    if path == "/healthz":
        return b'{"status": "alive"}\n', 200, "application/json"
    if path == "/readyz":
        report, status = ready()
        return json.dumps(report).encode() + b"\n", status, "application/json"
    if path == "/metrics":
        return generate_latest(), 200, CONTENT_TYPE_LATEST
    return b"try /healthz, /readyz or /metrics\n", 404, "text/plain"

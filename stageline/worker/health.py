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
    """Check every server; return the report and its HTTP status.

    The status is ``ready`` (200); ``degraded`` (200) when a model that the stage needs is missing, a model is refused,
    or the model store cannot be reached; or ``unavailable`` (503), with a sentence for each server that is away.
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
    """The models that are served, those that are missing, and those that were refused and why."""
    report: dict[str, Any] = {"models": {}}
    for model in models.served:
        serving = {"serving": now.card.reference if (now := model.now()) else None}
        report["models"][model.name] = serving | ({"refused": model.refused} if model.refused else {})
    if lacking := missing(models.served):
        report |= {"missing_models": lacking, "how_to_get_them": {name: how_to_get(name) for name in lacking}}
    if models.away:
        report["model_store"] = models.away
    if degrading(models.served) or models.away or any(model.refused for model in models.served):
        report["status"] = "degraded"
    return report


def check_redis(client: redis.Redis) -> None:
    """Check that Redis takes writes, and, once for each client, that its version has BLMOVE.

    Raises:
        Unavailable: Redis cannot be reached, takes no writes now, or is too old for BLMOVE.
    """
    check_writes(client)
    if client in _new_enough:
        return
    with reaching_redis():
        try:
            version = str(client.info("server").get("redis_version", ""))
        except NoPermissionError:  # this user may not call INFO: the version is not checked
            version = ""
    if is_too_old(version):
        raise Unavailable(f"Redis {version} has no BLMOVE: Redis 6.2 or any Valkey is needed (REDIS_URL)")
    _new_enough.add(client)


def check_store_writes(store: ObjectStore) -> None:
    """Write a small object to the store and remove it, as a full or read-only store still answers reads.

    Raises:
        Unavailable: the store takes no writes, or cannot be reached.
    """
    try:
        store.put(StoredObject(STORE_PROBE, bytes(PROBE_BYTES), "application/octet-stream"))
    except Unavailable as error:
        raise Unavailable(f"the object store takes no writes, so no picture is taken: {error}") from error
    with contextlib.suppress(Unavailable):  # the next check overwrites it
        store.delete(STORE_PROBE)


def is_too_old(version: str) -> bool:
    """Whether a server of this version lacks BLMOVE; False when the version is not known."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return bool(numbers) and numbers < OLDEST_REDIS


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing, as probes come every few seconds."""


def serve(port: int, ready: Callable[[], tuple[dict[str, Any], int]]) -> None:
    """Answer on all addresses at ``port``, from another thread.

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

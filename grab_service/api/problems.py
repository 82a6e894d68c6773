"""All error answers of the API, in one format (RFC 9457)."""

import contextlib
import json
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestedRangeNotSatisfiable, RequestEntityTooLarge
from werkzeug.exceptions import NotFound as WrongPath
from werkzeug.routing import RequestRedirect

from grab_service.api.connections import DeadlineSocket
from stageline.core import logs
from stageline.core.errors import BadImage, StagelineError, Unavailable

PROBLEM = "application/problem+json"
RETRY_SECONDS = 5
FORM = "multipart/form-data"
TAKING = ("uploads.upload", "uploads.batch_upload")
ASKING_HEALTH = ("line.whole_health", "line.readyz")  # their 503 lists the failed checks
LINGER_BYTES, LINGER_SECONDS, CHUNK = 256 * 1024 * 1024, 10.0, 1 << 16


class FieldError(NamedTuple):
    """An invalid parameter."""

    field: str
    message: str


class BadParameters(StagelineError):
    """Parameters are invalid; each is named."""

    def __init__(self, field_errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in field_errors))
        self.field_errors = list(field_errors)


class WrongType(StagelineError):
    """The operation does not take the media type of the body."""


class BodyTooLarge(StagelineError):
    """The body is larger than allowed for its kind."""


class NotKnown(StagelineError):
    """The picture, or the requested part of it, does not exist."""


class Gone(StagelineError):
    """The result of the request with this key no longer exists."""


class NotNow(StagelineError):
    """The state of the picture or of the request does not allow this operation."""


class StillRunning(NotNow):
    """A request with the same Idempotency-Key is in progress; it may be done after ``retry_after`` seconds."""

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class LineFull(StagelineError):
    """The number of unfinished pictures has reached MAX_QUEUE_SIZE."""


class NoPlace(StagelineError):
    """The process waits for events, results or searches for as many clients as it can."""


class NoModel(StagelineError):
    """The operation needs a model that is not installed."""


STATUSES: dict[type[StagelineError], int] = {
    WrongType: 415,
    NotKnown: 404,
    NotNow: 409,
    StillRunning: 409,
    Gone: 410,
    BodyTooLarge: 413,
    LineFull: 429,
    NoPlace: 503,
    NoModel: 503,
}


def content(status: int, detail: str, errors: Sequence[FieldError] = ()) -> dict[str, Any]:
    """Return a problem as plain data."""
    fields = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return fields | ({"errors": [error._asdict() for error in errors]} if status == 422 else {})  # noqa: PLR2004


def problem(status: int, detail: str, errors: Sequence[FieldError] = (), retry_after: int | None = None) -> Response:
    """Return an error as application/problem+json, with Retry-After in seconds where a retry may help."""
    answer = Response(json.dumps(content(status, detail, errors)) + "\n", status, mimetype=PROBLEM)
    retry_after = retry_after or (RETRY_SECONDS if status in (429, 503) else None)
    if retry_after:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


def describe(error: Exception) -> dict[str, Any] | None:
    """Return the problem of one picture, for an answer about many; None where the error is not about one picture."""
    if isinstance(error, BadImage):
        return content(error.status, str(error), [FieldError("image", str(error))])
    if isinstance(error, HTTPException):
        return content(413, size_limit()) if isinstance(error, RequestEntityTooLarge) else None
    status = 503 if isinstance(error, Unavailable) else STATUSES.get(type(error))  # type: ignore[arg-type]
    return content(status, str(error)) if status else None


def handle_errors(app: Flask) -> None:
    """Make the application answer every error as a problem."""
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(BadParameters, lambda error: problem(422, str(error), error.field_errors))
    app.register_error_handler(
        BadImage, lambda error: problem(error.status, str(error), [FieldError("image", str(error))])
    )
    for kind, status in STATUSES.items():
        app.register_error_handler(kind, lambda error, status=status: problem(status, str(error)))
    app.register_error_handler(
        StillRunning, lambda error: problem(409, str(error), retry_after=max(1, error.retry_after))
    )
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(Exception, _unforeseen)
    app.after_request(_linger)
    app.after_request(_look_again)


def size_limit() -> str:
    """Return the sentence with the size limits of an upload."""
    config = current_app.config
    most = f"the upload is too large; at most {config['MAX_UPLOAD_BYTES']:,} bytes are taken (MAX_UPLOAD_BYTES)"
    if request.mimetype != FORM:
        return most
    return f"{most}, and a form of {config['MAX_FORM_PARTS']:,} parts with {config['MAX_FORM_MEMORY_SIZE']:,} of text"


def _look_again(answer: Response) -> Response:
    """Make /health check the store's writes again after any 503."""
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and request.endpoint not in ASKING_HEALTH:
        current_app.config["INTAKE"].probes.forget()
    return answer


def _linger(answer: Response) -> Response:
    """After an error, read the rest of the request: closing at once would reset the connection.

    A client that writes its whole body before it reads would then never see the error.
    """
    body, connection = request.environ["wsgi.input"], request.environ.get("gunicorn.socket")

    def read_on() -> None:
        left, deadline = LINGER_BYTES, time.monotonic() + LINGER_SECONDS
        if isinstance(connection, DeadlineSocket):
            connection.allow(LINGER_SECONDS)
        with contextlib.suppress(Exception):  # the client has left or sends garbage
            while left > 0 and time.monotonic() < deadline and (chunk := body.read(CHUNK)):
                left -= len(chunk)

    refused = answer.status_code >= HTTPStatus.BAD_REQUEST and answer.status_code != HTTPStatus.REQUEST_TIMEOUT
    if refused and request.method not in ("GET", "HEAD"):
        answer.call_on_close(read_on)
    return answer


def _http_problem(error: HTTPException) -> Response:
    if isinstance(error, RequestRedirect):
        return cast("Response", error.get_response())
    if isinstance(error, RequestEntityTooLarge):
        return problem(413, size_limit())
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        allowed = ", ".join(sorted(error.valid_methods))
        answer = problem(405, f"{request.method} is not for {request.path[:80]}: it takes {allowed}")
        answer.headers["Allow"] = allowed
        return answer
    if isinstance(error, WrongPath) and request.url_rule is None:
        return problem(404, f"there is nothing at {request.path[:80]}: /docs and /openapi.json show what there is")
    answer = problem(error.code or 500, error.description or "")
    if isinstance(error, RequestedRangeNotSatisfiable) and error.length is not None:
        answer.headers["Content-Range"] = f"bytes */{error.length}"
    return answer


def _unavailable(error: Unavailable) -> Response:
    takes_pictures = request.method == "POST" and request.endpoint in TAKING
    accepted = "the picture may not have been accepted, " if takes_pictures else ""
    return problem(503, f"{error}; {accepted}try again")


def _unforeseen(error: Exception) -> Response:
    logs.get().error("failed", path=request.path, exc_info=error)
    return problem(500, "something failed that should not have; the log of grab_service says what")

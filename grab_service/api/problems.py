"""Every error that the API answers with: one format (RFC 9457), one place."""

import contextlib
import json
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    RequestedRangeNotSatisfiable,
    RequestEntityTooLarge,
)
from werkzeug.exceptions import NotFound as WrongPath
from werkzeug.routing import RequestRedirect

from grab_service.api.connections import DeadlineSocket
from stageline.core import logs
from stageline.core.errors import BadImage, StagelineError, Unavailable

PROBLEM = "application/problem+json"
RETRY_SECONDS = 5
FORM = "multipart/form-data"
TAKING = ("uploads.upload", "uploads.batch_upload")
ASKING_HEALTH = ("line.whole_health", "line.readyz")  # whose 503 says what they found
LINGER_BYTES, LINGER_SECONDS, CHUNK = 256 * 1024 * 1024, 10.0, 1 << 16


class FieldError(NamedTuple):
    """A parameter that is not what it must be."""

    field: str
    message: str


class BadParameters(StagelineError):
    """Parameters are not what they must be; each is named."""

    def __init__(self, field_errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in field_errors))
        self.field_errors = list(field_errors)


class WrongType(StagelineError):
    """The body is of another media type than is taken here."""


class BodyTooLarge(StagelineError):
    """The body has more bytes than are taken of its kind."""


class NotKnown(StagelineError):
    """There is no such picture, or not that of it."""


class Gone(StagelineError):
    """What a request made under this key is there no longer."""


class NotNow(StagelineError):
    """The picture, or the request, is in a state in which this cannot be done."""


class StillRunning(NotNow):
    """A request of the same Idempotency-Key is being worked on; after ``retry_after`` seconds it may not be."""

    def __init__(self, sentence: str, retry_after: int) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class LineFull(StagelineError):
    """As many accepted pictures are unfinished as MAX_QUEUE_SIZE allows."""


class NoPlace(StagelineError):
    """As many connections wait for events, or for results, as may."""


class NoModel(StagelineError):
    """What is asked for takes a model that is not installed."""


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


def content(status: int, detail: str, field_errors: Sequence[FieldError] = ()) -> dict[str, Any]:
    """What a problem says, as plain data."""
    said: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    said["detail"] = detail
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        said["errors"] = [{"field": field, "message": message} for field, message in field_errors]
    return said


def problem(status: int, detail: str, errors: Sequence[FieldError] = (), retry_after: int | None = None) -> Response:
    """An error as application/problem+json; with when to try again, in seconds, where that may help."""
    answer = Response(json.dumps(content(status, detail, errors)) + "\n", status, mimetype=PROBLEM)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        retry_after = retry_after or RETRY_SECONDS
    if retry_after:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


def describe(error: Exception) -> dict[str, Any] | None:
    """What an error about one picture says, for an answer about many; None for one that is about none."""
    if isinstance(error, BadImage):
        return content(error.status, str(error), [FieldError("image", str(error))])
    if isinstance(error, HTTPException):
        return content(413, size_limit()) if isinstance(error, RequestEntityTooLarge) else None
    status = 503 if isinstance(error, Unavailable) else STATUSES.get(type(error))  # type: ignore[arg-type]
    return content(status, str(error)) if status else None


def handle_errors(app: Flask) -> None:
    """Have the application answer every error as a problem."""
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
    """How large an upload may be."""
    config = current_app.config
    most = f"the upload is too large; at most {config['MAX_UPLOAD_BYTES']:,} bytes are taken (MAX_UPLOAD_BYTES)"
    if request.mimetype != FORM:
        return most
    return f"{most}, and a form of {config['MAX_FORM_PARTS']:,} parts with {config['MAX_FORM_MEMORY_SIZE']:,} of text"


def _look_again(answer: Response) -> Response:
    """Have /health look anew at whether writes are taken, once anything was answered that they are not."""
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and request.endpoint not in ASKING_HEALTH:
        current_app.config["INTAKE"].probes.forget()
    return answer


def _linger(answer: Response) -> Response:
    """Read on, after an error was sent, what the client still sends: closing at once would reset the connection.

    A client that writes its whole body before it reads would then never see why it was refused.
    """
    body, connection = request.environ["wsgi.input"], request.environ.get("gunicorn.socket")

    def read_on() -> None:
        left, deadline = LINGER_BYTES, time.monotonic() + LINGER_SECONDS
        if isinstance(connection, DeadlineSocket):
            connection.allow(LINGER_SECONDS)
        with contextlib.suppress(Exception):  # it is gone, or sends nonsense: nothing is owed to it
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

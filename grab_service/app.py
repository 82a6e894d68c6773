"""The HTTP door."""

import contextlib
import io
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import IO, Any, cast

from flask import Blueprint, Flask, Request, Response, current_app, json, request, url_for
from gunicorn.http.errors import ParseException
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import ClientDisconnected, HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.routing import RequestRedirect

from grab_service.connections import PatientSocket
from grab_service.door import GrabDoor, LineFull, NotKnown
from grab_service.uploads import safe_filename, traceparent
from stageline import __version__, health, logs, metrics
from stageline.errors import BadImage, Unavailable
from stageline.settings import Settings

RETRY_SECONDS = 5
TURN_SECONDS = 30.0
FORM = "multipart/form-data"
FIELDS = ("image", "file")
FORM_OVERHEAD = 64 * 1024  # what a multipart body may have around its picture
LINGER_BYTES, LINGER_SECONDS, CHUNK = 256 * 1024 * 1024, 10.0, 1 << 16
HOW_TO_SEND = "send a picture as the multipart field `image` or `file` (curl -F image=@street.jpg), or as the raw body"
routes = Blueprint("door", __name__)


class InMemory(Request):
    """A request whose files are held in memory, within MAX_CONTENT_LENGTH: the door needs no disk."""

    def _get_file_stream(self, *_: object, **__: object) -> IO[bytes]:
        return io.BytesIO()


def create_app(settings: Settings, door: GrabDoor) -> Flask:
    """Make the application."""
    app = Flask(__name__, static_folder=None)
    app.request_class = InMemory
    app.config["MAX_CONTENT_LENGTH"] = settings.max_upload_bytes + FORM_OVERHEAD
    app.config["DOOR"] = door
    app.config["TURNS"] = threading.BoundedSemaphore(settings.door_threads)
    app.config["MAX_UPLOAD_BYTES"] = settings.max_upload_bytes
    app.register_blueprint(routes)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(BadImage, lambda error: problem(error.status, str(error)))
    app.register_error_handler(NotKnown, lambda error: problem(404, str(error)))
    app.register_error_handler(LineFull, lambda error: problem(429, str(error)))
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(Exception, _unforeseen)
    app.after_request(_linger)
    return app


def problem(status: int, detail: str) -> Response:
    """An error as application/problem+json (RFC 9457)."""
    title = HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
    answer = Response(body + "\n", status, mimetype="application/problem+json")
    if status in (429, 503):
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer


@routes.after_request
def _count(answer: Response) -> Response:
    if request.endpoint == "door.upload":
        metrics.UPLOADS.labels(str(answer.status_code)).inc()
    return answer


def _linger(answer: Response) -> Response:
    """Read on, after an error was sent, what the client still sends: closing at once would reset the connection.

    A client that writes its whole body before it reads would then never see why it was refused.
    """
    body, connection = request.environ["wsgi.input"], request.environ.get("gunicorn.socket")

    def read_on() -> None:
        left, deadline = LINGER_BYTES, time.monotonic() + LINGER_SECONDS
        if isinstance(connection, PatientSocket):
            connection.allow(LINGER_SECONDS)
        with contextlib.suppress(Exception):  # it is gone, or sends nonsense: nothing is owed to it
            while left > 0 and time.monotonic() < deadline and (chunk := body.read(CHUNK)):
                left -= len(chunk)

    refused = answer.status_code >= HTTPStatus.BAD_REQUEST and answer.status_code != HTTPStatus.REQUEST_TIMEOUT
    if refused and request.method not in ("GET", "HEAD"):
        answer.call_on_close(read_on)
    return answer


@routes.post("/upload")
def upload() -> Response:
    """Take a picture."""
    door = _door()
    door.refuse_when_full()
    with _turn():
        data, filename = _body()
        message = door.accept(data, safe_filename(filename), traceparent(request.headers.get("traceparent")))
    where = url_for("door.status", image_id=message.image_id)
    answer = _json(
        {
            "image_id": message.image_id,
            "job_id": message.image_id,
            "filename": message.fields["filename"],
            "file_size": len(data),
            "status": "submitted",
            "message": f"accepted; follow it at {where}",
        },
        202,
    )
    answer.headers["Location"] = where
    return answer


@routes.get("/status/<image_id>")
def status(image_id: str) -> Response:
    """Tell where a picture is, and what was found in it."""
    return _json(_door().status(image_id))


@routes.get("/image/<image_id>")
def image(image_id: str) -> Response:
    """Show a picture as a stage left it."""
    data, content_type = _door().image(image_id, request.args.get("stage", "original"))
    answer = Response(data, mimetype=content_type)
    answer.headers["X-Content-Type-Options"] = "nosniff"  # a picture with a page behind it stays a picture
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.add_etag()
    answer.make_conditional(request)
    return answer


@routes.get("/queue-status")
def queue_status() -> Response:
    """Count the messages of every stage."""
    return _json(_door().queues())


@routes.get("/health")
@routes.get("/readyz")
def readyz() -> Response:
    """Say whether Redis and the object store are there."""
    door = _door()
    report, code = health.readiness({"redis": door.check_queue, "object_store": door.check_store})
    return _json({**report, "version": __version__}, code)


@routes.get("/healthz")
def healthz() -> Response:
    """Say that the process answers."""
    return _json({"status": "alive"})


@routes.get("/metrics")
def metrics_page() -> Response:
    """The metrics, for Prometheus."""
    for stage, counts in _door().queues()["stages"].items():
        for state, count in counts.items():
            metrics.QUEUE_MESSAGES.labels(stage, state).set(count)
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _door() -> GrabDoor:
    return cast("GrabDoor", current_app.config["DOOR"])


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content, indent=2, sort_keys=False) + "\n", status, mimetype="application/json")


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """Wait for a place among the uploads that are taken at once, each of which is in memory whole."""
    turns: threading.Semaphore = current_app.config["TURNS"]
    if not turns.acquire(timeout=TURN_SECONDS):
        raise Unavailable("as many uploads as DOOR_THREADS allows are being taken already")
    try:
        yield
    finally:
        turns.release()


def _body() -> tuple[bytes, str | None]:
    """Return the picture's bytes and the name it was sent under, from a form's field or the raw body."""
    try:
        data, name = (
            _form() if request.mimetype == FORM else (request.get_data(cache=False), request.args.get("filename"))
        )
    except ClientDisconnected as error:  # what werkzeug makes of any OSError
        why = error.__context__ or "it ends too soon"
        status = HTTPStatus.REQUEST_TIMEOUT if isinstance(why, TimeoutError) else HTTPStatus.BAD_REQUEST
        raise BadImage(f"the body cannot be read to its end: {why}; {HOW_TO_SEND}", status) from error
    except (OSError, ParseException) as error:  # our side of it is memory alone: what fails is the client, or its line
        raise BadImage(f"the body cannot be read to its end: {error}; {HOW_TO_SEND}", 400) from error
    if not data:
        raise BadImage(f"the upload is empty (0 bytes); {HOW_TO_SEND}", 400)
    if len(data) > current_app.config["MAX_UPLOAD_BYTES"]:
        raise RequestEntityTooLarge
    return data, name


def _form() -> tuple[bytes, str | None]:
    sent = [request.files[field] for field in FIELDS if field in request.files]
    if not sent:
        as_text = any(field in request.form for field in FIELDS)
        wrong = "the field came as text, not as a file" if as_text else "the form has no field `image` or `file`"
        raise BadImage(f"{wrong}; {HOW_TO_SEND}", 400)
    return cast("io.BytesIO", sent[0].stream).getvalue(), sent[0].filename  # getvalue, unlike read, copies nothing


def _http_problem(error: HTTPException) -> Response:
    if isinstance(error, RequestRedirect):
        return cast("Response", error.get_response())
    if isinstance(error, RequestEntityTooLarge):
        return problem(413, _what_fits())
    answer = problem(error.code or 500, error.description or "")
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(error.valid_methods)
    return answer


def _what_fits() -> str:
    config = current_app.config
    most = f"the upload is too large; at most {config['MAX_UPLOAD_BYTES']:,} bytes are taken (MAX_UPLOAD_BYTES)"
    if request.mimetype != FORM:
        return most
    return f"{most}, and a form of {config['MAX_FORM_PARTS']:,} parts with {config['MAX_FORM_MEMORY_SIZE']:,} of text"


def _unavailable(error: Unavailable) -> Response:
    accepted = "the picture may not have been accepted, " if request.method == "POST" else ""
    return problem(503, f"{error}; {accepted}try again")


def _unforeseen(error: Exception) -> Response:
    logs.get().error("failed", path=request.path, exc_info=error)
    return problem(500, "something failed that should not have; the log of grab_service says what")

"""The page at ``/``: the files of ``grab_service/ui/static``, with headers that block all other content."""

from pathlib import Path

from flask import Blueprint, Response, abort, jsonify, request, send_file
from werkzeug.security import safe_join

from stageline.pipeline import line
from stageline.pipeline.first_message import STAGE

PAGE = Path(__file__).parent / "static"
TYPES = {  # fixed here: the types of mimetypes depend on the machine
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",  # clients revalidate by ETag, so that a new version shows at once
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

routes = Blueprint("page", __name__)


@routes.get("/")
def index() -> Response:
    """Serve the page."""
    return _file("index.html")


@routes.get("/page/line.json")
def table() -> Response:
    """Serve the stages of the line and the pictures that each writes, for the page."""
    shown = [{"name": line.ORIGINALS.name, "stage": STAGE, "label": line.ORIGINALS.title}]
    for stage in line.LINE:
        pictures = (folder for folder in stage.folders if folder.title)
        shown += [{"name": folder.name, "stage": stage.name, "label": folder.title} for folder in pictures]
    made = jsonify(stages=[stage.name for stage in line.LINE], shown=shown)
    made.add_etag()
    made.make_conditional(request)
    return made


@routes.get("/page/<path:path>")
def part(path: str) -> Response:
    """Serve one of the page's files."""
    return _file(path)


@routes.after_request
def _protect(answer: Response) -> Response:
    """Let the page load only its own files, and forbid frames around it."""
    answer.headers.update(HEADERS)
    return answer


def _file(path: str) -> Response:
    """Serve a file below the page's folder; anything else is a 404 with a sentence."""
    found = safe_join(str(PAGE), path)
    if found is None or not Path(found).is_file() or Path(found).suffix not in TYPES:
        abort(404, "the page has no such file; the page itself is at /")
    return send_file(found, mimetype=TYPES[Path(found).suffix], conditional=True, etag=True)

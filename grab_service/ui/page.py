"""The page at ``/``: its files as they lie in ``grab_service/ui/static``, with headers that let nothing else in."""

from pathlib import Path

from flask import Blueprint, Response, abort, send_file
from werkzeug.security import safe_join

PAGE = Path(__file__).parent / "static"
TYPES = {  # said here: what mimetypes knows depends on the machine
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
    "Cache-Control": "no-cache",  # kept, and asked for again with its ETag: a new version shows at once
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


@routes.get("/page/<path:path>")
def part(path: str) -> Response:
    """Serve one of the page's files."""
    return _file(path)


@routes.after_request
def _protect(answer: Response) -> Response:
    """Let the page load nothing but its own files, and be framed by nobody."""
    answer.headers.update(HEADERS)
    return answer


def _file(path: str) -> Response:
    """Serve a file below the page's folder; anything else is a 404 with a sentence."""
    found = safe_join(str(PAGE), path)
    if found is None or not Path(found).is_file() or Path(found).suffix not in TYPES:
        abort(404, "the page has no such file; the page itself is at /")
    return send_file(found, mimetype=TYPES[Path(found).suffix], conditional=True, etag=True)

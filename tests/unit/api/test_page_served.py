"""How the page is served, and rules that its files keep; no browser is needed."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from grab_service.ui import page
from stageline.pipeline import line

FILES = sorted(path for path in page.PAGE.rglob("*") if path.is_file())
SCRIPTS = [path for path in FILES if path.suffix == ".js"]


@pytest.fixture
def client() -> FlaskClient:
    """The page alone."""
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(page.routes)
    return app.test_client()


def test_the_page_comes_with_headers_that_let_nothing_else_in(client: FlaskClient) -> None:
    """No script, style or frame from elsewhere, no guessing of types, no referrer; the same for its files."""
    for path in ("/", "/page/js/main.js", "/page/no-such-file"):
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        for part in (
            "default-src 'self'", "img-src 'self' blob: data:", "style-src 'self'", "script-src 'self'",
            "connect-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'",
        ):  # fmt: skip
            assert part in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-cache"


def test_every_file_has_its_type_and_its_etag(client: FlaskClient) -> None:
    """What is unchanged is not sent again."""
    types = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    for path in FILES:
        answer = client.get(f"/page/{path.relative_to(page.PAGE)}")
        assert (answer.status_code, answer.mimetype) == (200, types[path.suffix]), path
        assert answer.data == path.read_bytes()
        again = client.get(f"/page/{path.relative_to(page.PAGE)}", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_the_page_reads_the_table_of_the_line(client: FlaskClient) -> None:
    """The stages, and each folder of pictures with the stage that writes it; what is unchanged is not sent again."""
    answer = client.get("/page/line.json")
    content = answer.get_json()
    assert content["stages"] == [stage.name for stage in line.LINE]
    writers = {"original": "grab"} | {folder.name: stage.name for stage in line.LINE for folder in stage.folders}
    shown = [{"name": each.name, "stage": writers[each.name], "label": each.title} for each in line.pictures()]
    assert content["shown"] == shown
    again = client.get("/page/line.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "path", ["../page.py", "..%2fpage.py", "%2e%2e/app.py", "/etc/passwd", "js", "", "js/../../page.py", "a\0b"]
)
def test_nothing_but_the_pages_files_is_served(client: FlaskClient, path: str) -> None:
    """No path leads out of the page's folder."""
    assert client.get(f"/page/{path}").status_code in (308, 404)


def test_what_the_page_asks_for_is_there() -> None:
    """Each file that the page or a module names exists, and nothing comes from another host."""
    index = (page.PAGE / "index.html").read_text()
    for name in re.findall(r'(?:src|href)="/page/([^"]+)"', index):
        assert (page.PAGE / name).is_file(), name
    for script in SCRIPTS:
        for name in re.findall(r'^import .* from "([^"]+)";', script.read_text(), re.MULTILINE):
            assert (script.parent / name).is_file(), f"{script.name} imports {name}"
    for path in FILES:
        elsewhere = [url for url in re.findall(r"https?://[^\s\"'`)]+", path.read_text()) if "www.w3.org" not in url]
        assert elsewhere == [], path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_modules_are_short_and_make_no_markup_of_text(script: Path) -> None:
    """A module has at most 250 lines, and none has a way for text to become markup or code."""
    text = script.read_text()
    assert text.count("\n") <= 250
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
        'setAttribute("style',
    ):
        assert way not in text, f"{script.name} has {way}"

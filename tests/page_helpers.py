"""What the tests of the page do beside it: ask its line, send pictures, read cards."""

import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.running_line import RunningLine
from tests.browser import Browser

MARKUP = "<img src=x onerror=alert(1)>\"'&amp;.jpg"
LONG = "a picture of everybody who was there, " * 5 + "and of those who came late.jpg"


def address(line: RunningLine) -> str:
    """Where a line's page is."""
    return f"http://127.0.0.1:{line.port}"


def ask(line: RunningLine, path: str, data: bytes | None = None, method: str | None = None) -> Any:
    """Ask a line's door for JSON."""
    request = urllib.request.Request(address(line) + path, data, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def send(line: RunningLine, picture: Path, name: str, parameters: str = "wait=60") -> str:
    """Send a picture without the page; return its id once it ended or waits."""
    query = quote(name, safe="")
    return str(ask(line, f"/upload?{parameters}&filename={query}", picture.read_bytes())["image_id"])


def card(name: str) -> str:
    """JavaScript for the card that shows a filename, as text."""
    return f"[...document.querySelectorAll('.grid > li')].find((li) => li.querySelector('.card-name')?.textContent === {json.dumps(name)})"


def card_status(page: Browser, name: str) -> str | None:
    """The status that a picture's card shows."""
    found = page.run(f"return ({card(name)})?.querySelector('.badge')?.innerText ?? null")
    return str(found) if found else None


def upload(page: Browser, *files: Path) -> None:
    """Choose files on the page."""
    page.one("#file-input").send_keys("\n".join(map(str, files)))

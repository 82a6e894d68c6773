"""What the tests of the page do beside it: ask its line, send pictures, read cards."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from tests.support.browser import Browser
from tests.support.running_line import RunningLine

MARKUP = "<img src=x onerror=alert(1)>\"'&amp;.jpg"
LONG = "a picture of everybody who was there, " * 5 + "and of those who came late.jpg"


def address(line: RunningLine) -> str:
    """Where a line's page is."""
    return f"http://127.0.0.1:{line.port}"


def ask(line: RunningLine, path: str, data: bytes | None = None, method: str | None = None) -> Any:
    """Ask a line's API for JSON."""
    request = urllib.request.Request(address(line) + path, data, method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read() or b"null")


def listed(page: Browser, line: RunningLine, *image_ids: str, filters: str = "") -> None:
    """Wait until the catalogue lists pictures: a gallery that is opened before learns of them by events alone."""
    rows = lambda: ask(line, f"/images?limit=200{filters}")["images"]  # noqa: E731
    page.until(lambda: set(image_ids) <= {row["image_id"] for row in rows()}, "them in the catalogue")


def settled(page: Browser) -> None:
    """Wait until a picture's page has all its images, and has drawn what it draws when they come."""
    there = "document.querySelector('.viewer-image') && [...document.images].every((i) => i.complete && i.naturalWidth)"
    page.until(lambda: page.run(f"return {there}"), "every image")
    page.driver.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 50))")


def send(line: RunningLine, picture: Path, name: str, parameters: str = "wait=60") -> str:
    """Send a picture without the page; return its id once it ended or waits."""
    query = quote(name, safe="")
    return str(ask(line, f"/upload?{parameters}&filename={query}", picture.read_bytes())["image_id"])


def judge(line: RunningLine, picture: Path, name: str, **said: Any) -> str:
    """Send a picture that ends with what is said of it, as though another classifier had looked at it; return its id.

    A message on the last queue is what a classifier of somebody else's pushes. `said` may be worked out of what was
    detected: a function of the detections.
    """
    image_id = send(line, picture, name, "wait=60&process=false")
    known: dict[str, Any] = ask(line, f"/status/{image_id}")["results"]
    message = {key: value for key, value in known.items() if key not in ("status", "until", "updated_at")}
    found = {key: value(known["detections"]) if callable(value) else value for key, value in said.items()}
    with redis.Redis.from_url(str(line.state["redis_url"])) as lists:
        lists.rpush("tag_queue", json.dumps({**message, **found}))
    while ask(line, f"/status/{image_id}")["status"] != "completed":
        time.sleep(0.05)
    return image_id


def card(name: str) -> str:
    """JavaScript for the card that shows a filename, as text."""
    named = f"li.querySelector('.card-name')?.textContent === {json.dumps(name)}"
    return f"[...document.querySelectorAll('.grid > li')].find((li) => {named})"


def card_status(page: Browser, name: str) -> str | None:
    """The status that a picture's card shows."""
    found = page.run(f"return ({card(name)})?.querySelector('.badge')?.innerText ?? null")
    return str(found) if found else None


def upload(page: Browser, *files: Path) -> None:
    """Choose files on the page."""
    page.one("#file-input").send_keys("\n".join(map(str, files)))


def press(page: Browser, text: str, within: str = "main") -> None:
    """Press the button that says so."""
    found = "[...document.querySelectorAll(`${arguments[0]} button`)].find((b) => b.innerText.trim() === arguments[1])"

    def pressed() -> bool:  # one that is replaced between the look and the click is looked for again
        page.run(f"return {found}", within, text).click()
        return True

    page.until(pressed, f"a button {text!r}")


def copied(picture: Path, folder: Path, name: str) -> Path:
    """A picture under another name."""
    copy = folder / name
    copy.write_bytes(picture.read_bytes())
    return copy


def fresh(chrome: Browser, line: RunningLine) -> Iterator[Browser]:
    """A page with nothing remembered, live and with its gallery filled, watched for errors until the end."""
    chrome.url = address(line)
    chrome.expected = []
    chrome.complaints()  # what is said from now on
    chrome.see_as()
    chrome.open()
    chrome.run("localStorage.clear(); window.noReload = true")
    chrome.until(lambda: chrome.text("#connection") == "Live", "live")
    chrome.until(lambda: chrome.run("return !document.querySelector('.grid > li[aria-hidden]')"), "the gallery")
    yield chrome
    chrome.driver.get("about:blank")
    complaints = [one for one in chrome.complaints() if not any(part in one for part in chrome.expected)]
    assert complaints == []

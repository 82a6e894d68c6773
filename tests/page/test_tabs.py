"""The page in many tabs at once: a browser has six connections to a host, and all its tabs share them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.page_helpers import card_status, listed, send
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)

TABS = 8
COUNTED = """
window.streams = new Set();
const Real = window.EventSource;
window.EventSource = class extends Real {
  constructor(...given) { super(...given); window.streams.add(this); }
  close() { window.streams.delete(this); super.close(); }
};
"""
WITHOUT_LOCKS = "Object.defineProperty(Navigator.prototype, 'locks', { value: undefined });"
HIDE = """
Object.defineProperty(document, 'hidden', { configurable: true, value: arguments[0] });
document.dispatchEvent(new Event('visibilitychange'));
"""


@pytest.fixture
def picture(data_dir: Path) -> Path:
    """A small picture."""
    return min((data_dir / "coco128" / "images").glob("*.jpg"))


@pytest.fixture
def windows(page: Browser) -> Iterator[Browser]:
    """The page, in a browser whose other windows are closed afterwards."""
    first = page.driver.current_window_handle
    yield page
    for handle in page.driver.window_handles:
        if handle != first:
            page.driver.switch_to.window(handle)
            page.driver.close()
    page.driver.switch_to.window(first)


def open_another(page: Browser, kind: str, script: str = COUNTED) -> str:
    """Open the page in another tab or window; count the streams that it holds."""
    page.driver.switch_to.new_window(kind)
    page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    page.open()
    return page.driver.current_window_handle


def live(page: Browser, handle: str) -> None:
    """Look at a tab, and wait until it is live."""
    page.driver.switch_to.window(handle)
    page.until(lambda: page.text("#connection") == "Live", "live")


@pytest.mark.parametrize("kind", ["tab", "window"])
def test_eight_are_all_loaded_and_live(windows: Browser, page_line: RunningLine, picture: Path, kind: str) -> None:
    """Each of eight loads, is live, and hears of what is sent; at most one holds a stream, and gives it on."""
    page = windows
    listed(page, page_line, send(page_line, picture, "in all tabs.jpg"))
    page.driver.get("about:blank")
    handles = [open_another(page, kind) for _ in range(TABS)]
    for handle in handles:
        live(page, handle)
        page.until(lambda: card_status(page, "in all tabs.jpg"), "its pictures")
        page.run("window.noReload = true")
    listed(page, page_line, send(page_line, picture, f"sent to each {kind}.jpg"))
    for handle in handles:
        live(page, handle)
        page.until(lambda: card_status(page, f"sent to each {kind}.jpg") == "Completed", "what was sent")
        assert page.run("return window.noReload")

    def held() -> int:
        return sum(_streams(page, handle) for handle in handles)

    page.until(lambda: held() == 1, "one stream")
    for closed in range(TABS - 1):
        page.driver.switch_to.window(handles.pop(0))
        page.driver.close()
        live(page, handles[0])
        if closed in (0, TABS - 2):
            page.until(lambda: held() == 1, "the stream given on")
            send(page_line, picture, f"after {closed} {kind}.jpg")
            page.driver.switch_to.window(handles[0])
            _completes(page, f"after {closed} {kind}.jpg")


def _completes(page: Browser, name: str) -> None:
    page.until(lambda: card_status(page, name) == "Completed", name)


def _streams(page: Browser, handle: str) -> int:
    page.driver.switch_to.window(handle)
    return int(page.run("return window.streams.size"))


@pytest.mark.parametrize("script", [COUNTED, COUNTED + WITHOUT_LOCKS], ids=["shared", "without locks"])
def test_a_hidden_page_gives_its_stream_back(
    windows: Browser, page_line: RunningLine, picture: Path, script: str
) -> None:
    """Hidden, or left, a page holds no stream; looked at again, it is live, and shows what came meanwhile."""
    page = windows
    page.driver.get("about:blank")
    live(page, open_another(page, "window", script))
    assert page.run("return window.streams.size") == 1
    page.run(HIDE, True)
    page.until(lambda: page.run("return window.streams.size") == 0, "the stream closed")
    name = f"while hidden {len(script)}.jpg"
    send(page_line, picture, name)
    assert card_status(page, name) is None
    page.run(HIDE, False)
    page.until(lambda: page.text("#connection") == "Live", "live again")
    page.until(lambda: card_status(page, name) == "Completed", "what came meanwhile")
    page.run("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    assert page.run("return window.streams.size") == 0
    page.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    page.until(lambda: page.run("return window.streams.size") == 1, "the stream again")
    page.until(lambda: page.text("#connection") == "Live", "live again")


def test_the_place_of_a_frozen_tab_is_taken(windows: Browser, page_line: RunningLine, picture: Path) -> None:
    """A tab that holds the stream and says nothing any more loses it to one that is awake; it follows afterwards."""
    page = windows
    page.driver.get("about:blank")
    first = open_another(page, "window")
    live(page, first)
    page.run(
        "const locks = navigator.locks; locks.request('stageline-events-1', { steal: true }, () => "
        "new Promise(() => {})).catch(() => {})"
    )  # one that never says anything
    second = open_another(page, "window")
    live(page, second)
    send(page_line, picture, "past the frozen.jpg")
    for handle in (first, second):
        live(page, handle)
        page.until(lambda: card_status(page, "past the frozen.jpg") == "Completed", "what was sent")
    page.until(lambda: _streams(page, first) + _streams(page, second) == 1, "one stream")

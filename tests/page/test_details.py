"""What is easily overlooked on the page: labels on a phone, pictures that are gone, tall and slim ones."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains

from tests.support.browser import PHONE, Browser
from tests.support.page_helpers import ask, press, send, settled
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)

LABELS = """
return [...document.querySelectorAll('.overlay .mark')].filter((mark) => mark.dataset.box
  && getComputedStyle(mark.querySelector('text')).visibility === 'visible').map((mark) => mark.dataset.kind)
"""
LINES = """
const range = document.createRange();
range.selectNodeContents(document.querySelector(arguments[0]));
return new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size
"""
CENTRE = """
const { left, top, width, height } = arguments[0].getBoundingClientRect();
return [left + width / 2, top + height / 2];
"""


@pytest.fixture
def faces(data_dir: Path) -> Path:
    """A picture of six people."""
    return data_dir / "faces" / "multiface.jpg"


def made(folder: Path, size: tuple[int, int]) -> Path:
    """A picture of one colour, in which nothing can be found."""
    path = folder / f"{size[0]} by {size[1]}.jpg"
    Image.new("RGB", size, (200, 210, 220)).save(path)
    return path


def test_on_a_phone_a_label_shows_when_it_is_asked_for(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """A small picture shows its boxes only; a tap on a box, or the focus on its row, shows its label alone."""
    image_id = send(page_line, faces, "small.jpg")
    page.open(f"#/picture/{image_id}")
    page.until(lambda: page.run(LABELS), "labels where there is room")
    page.see_as(PHONE)
    page.open(f"#/picture/{image_id}")
    page.until(lambda: page.all(".overlay g.faces .mark"), "its marks")
    settled(page)
    page.until(lambda: page.run(LABELS) == [], "boxes only")
    box = page.one(".overlay g.faces .mark .box")
    page.run("arguments[0].scrollIntoView({ block: 'center' })", box)
    x, y = page.run(CENTRE, box)
    for kind in ("mousePressed", "mouseReleased"):
        at = {"x": x, "y": y, "button": "left", "clickCount": 1, "pointerType": "mouse"}
        page.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, **at})
    page.until(lambda: page.run(LABELS) == ["faces"], "the label of the box")
    page.run("document.querySelector('.finding-list.objects button').focus()")
    page.until(lambda: page.run(LABELS) == ["objects"], "the label of the row")


def test_a_buttons_text_stays_on_one_line_on_a_phone(page: Browser) -> None:
    """At 360 px, "Choose pictures" is not broken."""
    page.see_as(PHONE)
    page.open()
    page.one("#choose-files")
    for text in ("#choose-files > span", "#choose-folder .narrow-only"):
        assert page.run(LINES, text) == 1, text


def test_a_picture_that_is_gone_shows_so(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """Where the original was deleted from the store, its places say so, and it can be neither enlarged nor had."""
    image_id = send(page_line, faces, "lost.jpg", "wait=60&process=false")
    page.expected = [f"/image/{image_id}"]
    original = next(page_line.folder.glob(f"data/images/original/{image_id}.*"))
    original.write_bytes(b"no picture any more")
    ask(page_line, f"/process/{image_id}", b"", "POST")
    page.open(f"#/picture/{image_id}")
    page.until(lambda: "Failed" in page.text(".picture-state"), "failed")
    page.until(lambda: page.text(".viewer-gone") == "cannot be shown", "that it is no picture")
    original.unlink()
    page.open(f"#/picture/{image_id}")
    page.until(lambda: page.text(".viewer-gone") == "gone", "that it is gone")
    assert not page.one(".viewer-image").is_displayed()
    tile = page.one(".strip .tile")
    page.until(lambda: tile.text == "gone", "its tile")
    assert not tile.is_enabled()
    page.until(lambda: _original_cannot_be_had(page), "no download of it")


def _original_cannot_be_had(page: Browser) -> bool:
    links = page.run("return [...document.querySelectorAll('.menu a')].map((a) => a.textContent)")
    off = "return [...document.querySelectorAll('.actions button:disabled, .menu .off')].map((one) => one.textContent)"
    return "Original" not in links and any("Original (gone)" in one or "Download" in one for one in page.run(off))


@pytest.mark.parametrize(("size", "whole"), [((160, 1600), True), ((1600, 160), True), ((640, 480), False)])
def test_a_slim_picture_is_shown_whole(
    page: Browser,
    page_line: RunningLine,
    tmp_path: Path,
    size: tuple[int, int],
    whole: bool,  # noqa: FBT001
) -> None:
    """In the strip it is not cut; in the viewer it is no higher than the screen."""
    image_id = send(page_line, made(tmp_path, size), f"{size}.jpg")
    page.open(f"#/picture/{image_id}")
    first: Any = page.one(".strip img.here")
    assert first.value_of_css_property("object-fit") == ("contain" if whole else "cover")
    page.until(lambda: page.run("return document.querySelector('.viewer-image').complete"), "the original")
    assert page.run("return document.querySelector('.viewer-image').clientHeight / innerHeight") <= 0.8


def test_a_waiting_picture_with_nothing_in_it_says_so(page: Browser, page_line: RunningLine, tmp_path: Path) -> None:
    """Detect has looked: that is said, not that it may yet find something."""
    image_id = send(page_line, made(tmp_path, (320, 240)), "empty.jpg", "wait=60&process=false")
    page.open(f"#/picture/{image_id}")
    page.until(lambda: "Detect found nothing in it" in page.text(".findings"), "that nothing was found")
    press(page, "Send on")
    page.until(lambda: "Nothing was found in this picture." in page.text(".findings"), "the end")


def test_pointing_at_a_box_stresses_it(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """The mouse over a box does what it does over its row."""
    page.open(f"#/picture/{send(page_line, faces, 'pointed.jpg')}")
    page.until(lambda: page.all(".overlay g.faces .mark .box"), "its marks")
    settled(page)
    box = page.one(".overlay g.faces .mark .box")
    page.run("arguments[0].scrollIntoView({ block: 'center' })", box)
    ActionChains(page.driver).move_to_element(box).perform()
    page.until(lambda: len(page.all(".overlay .mark.lit")) == 1, "the one pointed at")

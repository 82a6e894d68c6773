"""The gallery in a real Chromium: filters, and more pictures as one scrolls."""

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.browser import Browser
from tests.support.page_helpers import ask, card_status, listed, press, send
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)


@pytest.fixture
def faces(data_dir: Path) -> Path:
    """A picture of six people."""
    return data_dir / "faces" / "multiface.jpg"


def test_filters_find_by_part_of_a_name_and_by_status(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """The address has the filters; a part of a name is enough; nothing found says so."""
    listed(page, page_line, *(send(page_line, faces, name) for name in ("Needle in the hay.jpg", "hay.jpg")))
    page.open("#/?filename=needle")
    page.until(lambda: card_status(page, "Needle in the hay.jpg"), "found")
    assert card_status(page, "hay.jpg") is None
    page.seen('#filter-status option[value="failed"]').click()
    page.until(lambda: "No picture is like that" in page.text("main"), "nothing found")
    assert "status=failed" in page.run("return location.hash")
    press(page, "Clear filters")
    page.until(lambda: card_status(page, "hay.jpg"), "all again")


def test_a_name_is_found_however_it_is_typed_and_a_guess_is_said(
    page: Browser, page_line: RunningLine, faces: Path
) -> None:
    """A part of it in another normal form is enough, joiners and all; a guess is said on the page."""
    decomposed = "Zoe\u0308 \u200dand a friend.jpg"
    guessed = str(ask(page_line, "/upload?wait=60&filename=caf%E9%20by%20night.jpg", faces.read_bytes())["image_id"])
    listed(page, page_line, send(page_line, faces, decomposed), guessed)
    page.open("#/?filename=" + quote("zo\u00eb \u200dand"))
    page.until(lambda: card_status(page, decomposed), "found")
    assert card_status(page, "café by night.jpg") is None
    page.open(f"#/picture/{guessed}")
    page.until(lambda: "café by night.jpg" in page.text("h1"), "its name")
    page.until(lambda: "best guess" in page.text(".picture-facts"), "that it is a guess")


def test_more_pictures_come_as_one_scrolls(page: Browser, page_line: RunningLine, data_dir: Path) -> None:
    """The gallery is filled page by page, each picture once."""
    known = {one["image_id"] for one in ask(page_line, "/images?limit=200")["images"]}
    small = sorted((data_dir / "coco128" / "images").glob("*.jpg"))
    known |= {
        send(page_line, small[n % len(small)], f"page-{n}.jpg", "process=true") for n in range(max(0, 60 - len(known)))
    }
    page.until(lambda: len(ask(page_line, "/images?limit=200")["images"]) >= len(known), "all in the catalogue")
    page.open()
    page.until(lambda: page.all(".grid a.card"), "cards")

    def all_there() -> bool:
        page.run("scrollTo(0, document.body.scrollHeight)")
        shown = page.run("return [...document.querySelectorAll('.grid > li')].map((li) => li.dataset.id)")
        assert len(shown) == len(set(shown)), "a picture is shown twice"
        return known <= set(shown)

    page.until(all_there, "all of them")


def test_many_categories_fit_into_one_row(page: Browser, page_line: RunningLine, data_dir: Path) -> None:
    """The first of them are named on the card, whole, the rest counted, and none is higher than the row."""
    send(page_line, data_dir / "coco128" / "images" / "000000000443.jpg", "cat in bed.jpg")
    page.open("#/?filename=cat+in+bed")
    page.until(lambda: card_status(page, "cat in bed.jpg"), "its card")
    chips = "[...document.querySelectorAll('.card-chips .chip')]"
    counted = f"{chips}.some((chip) => /^\\+\\d+$/.test(chip.textContent))"
    page.until(lambda: page.run(f"return {counted}"), "the rest, counted")
    assert page.run(f"return {chips}.filter((chip) => chip.offsetHeight > chip.parentNode.clientHeight).length") == 0
    words = "[...document.querySelectorAll('.card-chips .chip span')].filter((word) => word.offsetWidth)"
    assert page.run(f"return {words}.filter((word) => word.scrollWidth > word.clientWidth).length") == 0, "cut off"

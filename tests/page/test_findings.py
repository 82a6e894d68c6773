"""What the page says of a picture is what is known: the whole of it and its objects apart, by whom, how sure."""

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.support.browser import PHONE, Browser
from tests.support.page_helpers import ask, card, card_status, judge, listed, settled
from tests.support.places import REPOSITORY
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)

AUDIT = (REPOSITORY / "tests" / "support" / "page_audit.js").read_text()
MODEL = {"model": "classifier@2", "model_sha256": "ab" * 32}
# Each row of a list: its label, its number, and what is written below it.
ROWS = """
return [...document.querySelectorAll(arguments[0])].map((row) => [
  row.querySelector('.finding-label').innerText, row.querySelector('.number').innerText,
  ...[...row.querySelectorAll('.finding-note')].map((note) => note.innerText)])
"""
MARKS = "return [...document.querySelectorAll(`.overlay g.${arguments[0]} text`)].map((text) => text.textContent)"
CHIPS = """return [...({}).querySelectorAll('.chip')].filter((chip) => chip.offsetWidth)
  .map((chip) => [chip.innerText, !!chip.querySelector('svg')])"""

Said = list[dict[str, Any]]


def said(category: str, confidence: float, of: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """What a classifier says of an object, or of the whole picture."""
    about = {"box": of["box"], "detected": of["label"]} if of else {"box": None}
    return {"category": category, "confidence": confidence, **about, **MODEL, **more}


def detected(found: Said) -> Said:
    """A cat that the detector is sure of at 0.8, and two remote controls."""
    cat = next(one for one in found if one["label"] == "cat")
    return [{**cat, "score": 0.8}, *(one for one in found if one["label"] == "remote")][:3]


@pytest.fixture
def cat(data_dir: Path) -> Path:
    """A picture of a cat among remote controls."""
    return data_dir / "coco128" / "images" / "000000000443.jpg"


@pytest.fixture
def agreed(page_line: RunningLine, cat: Path) -> str:
    """It, called a cat by everybody, of the whole and of the object."""
    categories = lambda found: [said("cat", 0.91), said("cat", 0.996, detected(found)[0])]  # noqa: E731
    return judge(page_line, cat, "agreed.jpg", detections=detected, categories=categories)


@pytest.fixture
def doubted(page_line: RunningLine, cat: Path) -> str:
    """It, with an object that the detector calls a cat and the classifier too, and with what was not named."""
    return judge(
        page_line, cat, "doubted.jpg", detections=detected,
        categories=lambda found: [said("cat", 0.97, detected(found)[0])],
        candidates=lambda found: [
            said("airplane", 0.41, reason="unsure"), said("frog", 0.7, reason="unconfirmed"),
            said("truck", 0.88, detected(found)[1], reason="contradicted"),
            said("ship", 0.3, detected(found)[1], reason="unsure"),
            said("ship", 0.2, detected(found)[2], reason="unsure"),
        ],
    )  # fmt: skip


def open_picture(page: Browser, image_id: str) -> None:
    """Open a picture's page, and wait until all of it is there."""
    page.open(f"#/picture/{image_id}")
    page.until(lambda: page.all(".finding-list.objects li"), "its objects")
    settled(page)


def test_a_category_is_shown_once_for_the_whole_and_once_for_an_object(page: Browser, agreed: str) -> None:
    """The whole picture has its list; an object one row, and which other model agrees; 99.6 % is not 100."""
    open_picture(page, agreed)
    assert page.run(ROWS, ".finding-list.picture li") == [["cat", "91 %"]]
    first, *others = page.run(ROWS, ".finding-list.objects li")
    assert first == ["cat", "80 %", "also classifier@2, 99 %"]
    assert [row[0].split() for row in others] == [["remote", "1", "of", "2"], ["2", "of", "2"]]
    assert page.run(MARKS, "picture") == ["picture: cat 91 %"]
    assert page.run(MARKS, "objects")[0] == "cat 80 %"
    assert len(page.all(".overlay .mark .box")) == 3, "a box is drawn twice"
    assert page.all("details.candidates") == []


def test_the_whole_picture_can_be_switched_by_itself(page: Browser, agreed: str) -> None:
    """Its category goes from the overlay and comes back, and the objects stay."""
    open_picture(page, agreed)
    for shown in (True, False, True):
        assert page.one(".overlay g.picture").is_displayed() == shown
        assert page.one(".overlay g.objects").is_displayed()
        page.one("#show-picture").click()


def test_a_contradiction_shows_both_and_the_detector_first(page: Browser, page_line: RunningLine, cat: Path) -> None:
    """The object is what the detector says; a sure answer of another model stands below it, and nowhere else."""
    doubt = lambda found, why: said("dog", 0.88, detected(found)[0], reason=why)  # noqa: E731
    own = lambda found: [{**said("cat", 0.8, detected(found)[0]), "model": found[0]["model"]}]  # noqa: E731
    for reason, below in (("contradicted", ["classifier@2 says dog, 88 %"]), ("unsure", [])):
        image_id = judge(
            page_line, cat, "won.jpg", detections=detected, categories=own,
            candidates=lambda found, reason=reason: [doubt(found, reason)],
        )  # fmt: skip
        open_picture(page, image_id)
        assert page.run(ROWS, ".finding-list.objects li")[0] == ["cat", "80 %", *below]
        assert page.run(MARKS, "objects")[0] == "cat 80 %"
        page.run("document.querySelectorAll('details.candidates').forEach((one) => (one.open = true))")
        listed_again = page.run(ROWS, "details.candidates li")
        assert listed_again == ([] if below else [["dog", "88 %", "not sure enough; detected as cat"]])


def test_a_contradiction_is_shown_once_also_where_two_objects_lie_in_one_box(
    page: Browser, page_line: RunningLine, cat: Path
) -> None:
    """Below the first of them; one that is about no object stays among what was not named."""
    twice = lambda found: [detected(found)[0]] * 2  # noqa: E731
    image_id = judge(
        page_line, cat, "twice.jpg", detections=twice, categories=[],
        candidates=lambda found: [
            said("dog", 0.88, detected(found)[0], reason="contradicted"),
            said("ship", 0.9, {"box": [1, 2, 30, 40], "label": "boat"}, reason="contradicted"),
        ],
    )  # fmt: skip
    open_picture(page, image_id)
    assert page.run(ROWS, ".finding-list.objects li") == [
        ["cat 1 of 2", "80 %", "classifier@2 says dog, 88 %"], ["2 of 2", "80 %"],
    ]  # fmt: skip
    page.run("document.querySelector('details.candidates').open = true")
    assert page.run(ROWS, "details.candidates li") == [
        ["ship", "90 %", "contradicted by the detector, which says boat"],
    ]


def test_a_classifier_that_is_asked_about_everything_stands_beside_the_detector(
    page: Browser, page_line: RunningLine, cat: Path
) -> None:
    """What it names of an object, with no word of the detector's, adds to the object, and wins nothing."""
    categories = lambda found: [{**said("tabby", 0.9), "box": detected(found)[0]["box"]}]  # noqa: E731
    open_picture(page, judge(page_line, cat, "tabby.jpg", detections=detected, categories=categories))
    assert page.run(ROWS, ".finding-list.objects li")[0] == ["cat", "80 %", "classifier@2 says tabby, 90 %"]
    assert page.run(MARKS, "objects")[0] == "cat 80 % · tabby 90 %"


def test_another_word_for_the_same_is_no_contradiction(page: Browser, page_line: RunningLine, data_dir: Path) -> None:
    """The classifier's card says that its automobile is the detector's car: a car, on the picture and on its card."""
    name = "two cars.jpg"
    street = data_dir / "coco128" / "images" / "000000000094.jpg"
    cars = lambda found: [one for one in found if one["label"] == "car"][:1]  # noqa: E731
    model = {"model": "squeezenet-cifar10@2"}
    named = lambda found: [said("automobile", 0.97, cars(found)[0], **model)]  # noqa: E731
    image_id = judge(page_line, street, name, detections=cars, categories=named)
    page.until(lambda: card_status(page, name) == "Completed", "completed")
    page.until(lambda: page.run(CHIPS.format(card(name))) == [["car", False]], "one chip")
    open_picture(page, image_id)
    row = lambda: page.run(ROWS, ".finding-list.objects li")[0]  # noqa: E731
    page.until(lambda: row()[0] == "car" and row()[2:] == ["also squeezenet-cifar10@2, 97 %, as automobile"], "a car")
    assert page.run(MARKS, "objects")[0].startswith("car ")
    assert "automobile" not in page.run(MARKS, "objects")[0]


def test_what_was_not_named_is_shown_on_request_with_its_reason(page: Browser, doubted: str) -> None:
    """Closed at first; opened by the keyboard; the whole picture and objects apart, and a row stresses its object."""
    open_picture(page, doubted)
    summary = page.one("details.candidates summary")
    assert summary.text.split("\n")[0].startswith("Looked at, not named")
    rows = "details.candidates li"
    assert not page.one(rows).is_displayed()
    page.run("arguments[0].focus()", summary)
    ActionChains(page.driver).send_keys(Keys.ENTER).perform()
    page.until(lambda: page.one(rows).is_displayed(), "what was not named")
    assert page.run(ROWS, rows) == [
        ["frog", "70 %", "not confirmed by what was detected"], ["airplane", "41 %", "not sure enough"],
        ["ship 1 of 2", "30 %", "not sure enough; detected as remote"], ["2 of 2", "20 %"],
    ]  # fmt: skip
    assert [one.text for one in page.all("details.candidates h3")] == ["Whole picture", "Objects"]
    assert page.text("details.candidates .group-count") == "4"
    assert page.run(ROWS, ".finding-list.objects li")[1][2:] == ["classifier@2 says truck, 88 %"]
    ActionChains(page.driver).send_keys(Keys.TAB).perform()
    page.until(lambda: page.run(MARKS, "objects .lit") == ["remote 40 %"], "the object of the first row")
    ink = "return getComputedStyle(document.querySelector(arguments[0])).color"
    assert page.run(ink, f"{rows} .finding-label") != page.run(ink, ".finding-list.objects .finding-label")


def test_imagenets_five_are_guesses_among_what_was_not_named(page: Browser, page_line: RunningLine, cat: Path) -> None:
    """However sure: on request, apart from candidates; no chip of its card, no mark, and never what is said already."""
    name = "guessed.jpg"
    guesses = [said("tabby", 0.97), said("tiger cat", 0.02), said("Egyptian cat", 0.01)]
    image_id = judge(
        page_line, cat, name, detections=detected, imagenet=guesses, categories=[said("cat", 0.91)],
        candidates=[said("tiger cat", 0.02, reason="unsure")],
    )  # fmt: skip
    page.until(lambda: card_status(page, name) == "Completed", "completed")
    page.until(lambda: page.run(CHIPS.format(card(name))) == [["cat", False], ["2 × remote", False]], "its chips")
    open_picture(page, image_id)
    assert page.run(ROWS, ".finding-list.picture li") == [["cat", "91 %"]]
    assert page.run(MARKS, "picture") == ["picture: cat 91 %"]
    assert page.text("details.candidates .group-count") == "3"
    page.run("document.querySelector('details.candidates').open = true")
    assert [one.text for one in page.all("details.candidates h3")] == ["Whole picture", "Whole picture, guesses"]
    assert page.run(ROWS, "details.candidates li") == [
        ["tiger cat", "2 %", "not sure enough"], ["tabby", "97 %"], ["Egyptian cat", "1 %"],
    ]  # fmt: skip


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_of_it_can_be_read_also_on_a_phone(page: Browser, doubted: str, dark: bool) -> None:  # noqa: FBT001
    """Muted is not faint: every text has its contrast, every control a name, and nothing is wider than a phone."""
    page.see_as(PHONE, dark=dark)
    open_picture(page, doubted)
    page.run("document.querySelector('details.candidates').open = true")
    assert page.run(f"{AUDIT}\nreturn contrast()") == []
    assert page.run(f"{AUDIT}\nreturn nameless()") == []
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_a_card_shows_the_same_live_and_when_it_is_asked_for(page: Browser, page_line: RunningLine, cat: Path) -> None:
    """Each category is one chip, surest first, with the detector's count; what only the classifier says is marked."""
    name = "shown on a card.jpg"
    categories = lambda found: [said("cat", 0.91), said("dog", 0.98, detected(found)[0])]  # noqa: E731
    image_id = judge(page_line, cat, name, detections=detected, categories=categories)
    wanted = [["dog", True], ["cat", False], ["2 × remote", False]]
    page.until(lambda: card_status(page, name) == "Completed", "completed")
    page.until(lambda: page.run(CHIPS.format(card(name))) == wanted, "its chips")
    assert page.run("return window.noReload")
    listed(page, page_line, image_id)
    page.until(lambda: ask(page_line, "/images?category=dog&limit=1")["images"][0]["image_id"] == image_id, "its row")
    page.open("#/?category=dog")
    page.until(lambda: card_status(page, name) == "Completed", "its card")
    assert page.run(CHIPS.format(card(name))) == wanted

"""The page in a real Chromium, on a real line: sending pictures, watching them, what can be done with one."""

import json
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from stageline.pipeline import line
from tests.support.browser import Browser
from tests.support.page_helpers import (
    MARKUP,
    address,
    ask,
    card,
    card_status,
    copied,
    listed,
    press,
    send,
    settled,
    upload,
)
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)


@pytest.fixture
def faces(data_dir: Path) -> Path:
    """A picture of six people."""
    return data_dir / "faces" / "multiface.jpg"


def test_what_is_sent_appears_and_completes_without_a_reload(page: Browser, faces: Path, tmp_path: Path) -> None:
    """A picture chosen on the page shows at once, moves on by events alone, ends with its thumbnail and findings."""
    upload(page, copied(faces, tmp_path, "friends.jpg"))
    page.until(lambda: card_status(page, "friends.jpg"), "the card")
    page.until(lambda: card_status(page, "friends.jpg") == "Completed", "completed")
    page.until(
        lambda: page.run(f"return ({card('friends.jpg')}).querySelector('img.here')?.naturalWidth"), "its thumbnail"
    )
    assert page.run(f"return ({card('friends.jpg')}).querySelector('img').src").endswith("?stage=resized")
    assert "face" in page.run(f"return ({card('friends.jpg')}).querySelector('.card-chips').innerText")
    page.until(lambda: "1 of 1 file" in page.text(".upload-headline"), "its end as an upload")
    assert page.run("return window.noReload")
    first = page.run("return document.querySelector('.grid .card-name').textContent")
    assert first == "friends.jpg", "the newest is not first"


def test_many_are_sent_and_what_is_no_picture_is_refused_with_its_sentence(
    page: Browser, faces: Path, tmp_path: Path
) -> None:
    """Each of several files has its own end; a refused one shows what the line said, and harms no other."""
    page.expected = ["/upload?filename=notes.jpg"]
    notes = tmp_path / "notes.jpg"
    notes.write_text("no picture at all")
    upload(page, *(copied(faces, tmp_path, f"many-{n}.jpg") for n in range(6)), notes)
    page.until(lambda: "7 of 7 files" in page.text(".upload-headline"), "all ended")
    refused = page.text('.upload-row[data-state="refused"]')
    assert "notes.jpg" in refused
    assert "picture" in refused.replace("notes.jpg", "")
    assert len(page.all('.upload-row[data-state="done"]')) == 6
    for n in range(6):
        page.until(lambda n=n: card_status(page, f"many-{n}.jpg") == "Completed", f"many-{n} completed")


def test_a_duplicate_is_not_taken_twice(page: Browser, page_line: RunningLine, faces: Path, tmp_path: Path) -> None:
    """With "Skip duplicates", what is there already is shown instead of being sent down the line again."""
    original = copied(faces, tmp_path, "once.jpg")
    original.write_bytes(original.read_bytes() + b"\0 differs from the other tests' by its end")
    known = send(page_line, original, "once.jpg")
    page.one("#skip-duplicates").click()
    upload(page, original)
    page.seen('.upload-row[data-state="duplicate"] a').click()
    page.until(lambda: page.run("return location.hash") == f"#/picture/{known}", "the known picture")


def test_a_picture_waits_and_is_sent_on(page: Browser, faces: Path, tmp_path: Path) -> None:
    """With "Only preprocess" it waits after detect, with its kind known; "Send on" finishes it."""
    page.one("#only-preprocess").click()
    upload(page, copied(faces, tmp_path, "patient.jpg"))
    page.until(lambda: card_status(page, "patient.jpg") == "Waiting", "waiting")
    page.run(f"({card('patient.jpg')}).querySelector('a').click()")
    page.until(lambda: "face" in page.text(".picture-state"), "its kind")
    stages = line.LINE[: line.LINE.index(line.stage("detect")) + 1]
    left = [folder for stage in stages for folder in stage.folders if folder.title]
    assert len(page.all(".strip li.there")) == 1 + len(left), "the original, and those that the stages left"
    press(page, "Send on")
    page.until(lambda: "Completed" in page.text(".picture-state"), "completed")
    page.until(lambda: len(page.all(".strip li.there img.here")) == len(line.pictures()), "all pictures")


def test_a_pictures_page_shows_every_stage_and_finding(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """The pictures side by side, what was found by which model, the history with keys and ETags, the raw JSON."""
    image_id = send(page_line, faces, "history.jpg")
    document = ask(page_line, f"/status/{image_id}")["results"]
    page.open(f"#/picture/{image_id}")
    page.until(lambda: len(page.all(".strip img.here")) == len(line.pictures()), "all pictures")
    assert len(page.all(".finding-list.objects li")) == len(document["detections"])
    assert len(page.all(".finding-list.faces li")) == len(document["faces"]) >= 5
    assert document["detections"][0]["model"] in page.text(".findings")
    ledger = ask(page_line, f"/ledger/{image_id}")
    assert [lane["stage"] for lane in ledger["stages"]] == [one.text for one in page.all(".lane-name")]
    page.all(".lanes summary")[1].click()
    entry = ledger["stages"][1]["objects"][0]
    page.until(lambda: entry["key"] in page.text(".lanes") and entry["etag"] in page.text(".lanes"), "key and ETag")
    page.one(".raw summary").click()
    page.until(lambda: page.text(".raw pre"), "the JSON")
    assert json.loads(page.run("return document.querySelector('.raw pre').textContent"))["results"] == document


BOXES = """return [...document.querySelectorAll(".overlay g.objects .box")].map(
    (rect) => ["x", "y", "width", "height"].map((name) => Number(rect.getAttribute(name))))"""


def test_the_overlay_can_be_switched(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """Boxes lie over the original where they were found; each kind goes and comes back; pointing stresses one."""
    image_id = send(page_line, faces, "boxes.jpg")
    document = ask(page_line, f"/status/{image_id}")["results"]
    page.open(f"#/picture/{image_id}")
    page.until(lambda: len(page.all(".overlay g.faces .mark")) == len(document["faces"]), "a mark for each face")
    settled(page)
    boxes = page.driver.execute_script(BOXES)  # at once: the page draws them again when it learns more
    wanted = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in (one["box"] for one in document["detections"])]
    assert boxes == [pytest.approx(box, abs=0.01) for box in wanted]
    assert len(page.all(".overlay g.faces .mark:first-child .landmark")) == 5
    for kind in ("objects", "faces"):
        for shown in (True, False, True):
            assert page.one(f".overlay g.{kind}").is_displayed() == shown
            page.one(f"#show-{kind}").click()
        page.one(f"#show-{kind}").click()
    ActionChains(page.driver).move_to_element(page.one(".finding-list.objects li")).perform()
    page.until(lambda: len(page.all(".overlay .mark.lit")) == 1, "the one pointed at")


def test_similar_faces(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """A face's button shows the nearest faces elsewhere; the same picture sent twice has the same ones."""
    own = faces.with_name("kate_siegel.jpg")  # no other test sends it: many pictures of one face fill the list
    first, second = send(page_line, own, "one.jpg"), send(page_line, own, "two.jpg")

    def catalogued() -> bool:
        images = ask(page_line, "/images?limit=200")["images"]  # a row is there before what was found is
        return {first, second} <= {one["image_id"] for one in images if one["faces"]}

    page.until(catalogued, "the faces of both in the catalogue")
    page.open(f"#/picture/{first}")
    page.seen(".face button").click()
    links = page.until(lambda: [one.get_attribute("href") for one in page.all(".similar-list a")], "similar faces")
    assert any(link.endswith(second) for link in links)
    assert "100 %" in page.text(".similar-list")


def test_a_failed_picture_says_why_and_is_replayed(
    page: Browser, page_line: RunningLine, faces: Path, tmp_path: Path
) -> None:
    """The line's view lists it with its reason; its replay button sends it again, and it completes."""
    image_id = send(page_line, faces, "broken.jpg", "wait=60&process=false")
    original = next(page_line.folder.glob(f"data/images/original/{image_id}.*"))
    kept = original.read_bytes()
    original.write_bytes(b"no picture any more")
    page.expected = [f"/image/{image_id} "]
    page.open(f"#/picture/{image_id}")
    press(page, "Send on")
    page.until(lambda: "Failed" in page.text(".picture-state"), "failed")
    assert "Failed in classify" in page.text(".picture-reason")
    original.write_bytes(kept)
    listed(page, page_line, image_id, filters="&status=failed")
    page.open("#/line")
    row = page.one(f'.failed-list li[data-id="{image_id}"]')
    assert "broken.jpg" in row.text
    assert "classify" in row.text
    page.run("window.noReload = true")
    row.find_element("css selector", "button").click()
    page.until(lambda: not page.all(f'.failed-list li[data-id="{image_id}"]'), "it left the list")
    page.run("location.hash = arguments[0]", f"#/picture/{image_id}")
    page.until(lambda: "Completed" in page.text(".picture-state"), "completed")
    assert page.run("return window.noReload")


def test_run_again_from_a_stage(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """A finished picture runs again from the stage chosen; what came before is kept from the first run."""
    image_id = send(page_line, faces, "again.jpg")
    page.open(f"#/picture/{image_id}")
    page.seen('#run-from option[value="classify"]').click()
    press(page, "Run again")
    page.until(
        lambda: page.run(
            "return [...document.querySelectorAll('.picture-facts dt')].some((dt) => dt.textContent === 'Run')"
        ),
        "the second run",
    )
    page.until(
        lambda: "Completed" in page.text(".picture-state") and "kept from run 1" in page.text(".lanes"), "completed"
    )
    assert ask(page_line, f"/status/{image_id}")["run"] == 2


def test_deleting_asks_first(page: Browser, page_line: RunningLine, faces: Path) -> None:
    """Escape keeps the picture; confirmed, it is gone from the line and from the gallery."""
    image_id = send(page_line, faces, "doomed.jpg")
    page.open(f"#/picture/{image_id}")
    press(page, "Delete", ".actions")
    page.seen("dialog.ask")
    ActionChains(page.driver).send_keys(Keys.ESCAPE).perform()
    page.until(lambda: not page.all("dialog"), "the dialog gone")
    assert ask(page_line, f"/status/{image_id}")["status"] == "completed"
    press(page, "Delete", ".actions")
    press(page, "Delete", "dialog.ask")
    page.until(lambda: page.run("return location.hash") == "#/", "the gallery")
    page.until(lambda: card_status(page, "doomed.jpg") is None, "its card gone")
    page.expected = [f"/status/{image_id}", f"/ledger/{image_id}"]
    page.open(f"#/picture/{image_id}")
    page.until(lambda: "There is no such picture" in page.text("main"), "the sentence")


def test_a_name_is_text_wherever_it_shows(page: Browser, page_line: RunningLine, faces: Path, tmp_path: Path) -> None:
    """A filename that is markup runs nothing and makes no element: in the list, on card and page, in the dialog."""
    page.run("window.alert = () => { window.ran = true; }")
    upload(page, copied(faces, tmp_path, MARKUP))
    page.until(lambda: card_status(page, MARKUP) == "Completed", "completed")
    assert page.run("return document.querySelector('.upload-name').textContent") == MARKUP
    page.run(f"({card(MARKUP)}).querySelector('a').click()")
    page.until(lambda: page.run("return document.querySelector('h1')?.textContent") == MARKUP, "its page")
    page.until(lambda: page.all(".strip img.here"), "its pictures")
    press(page, "Delete", ".actions")
    assert MARKUP in page.run("return document.querySelector('dialog p').textContent")
    assert page.all('img[src="x"]') == []
    assert not page.run("return window.ran")
    assert page.run("return location.origin") == address(page_line)

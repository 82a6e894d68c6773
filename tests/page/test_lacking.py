"""A picture's page says once, and briefly, which model was missing, what it lacks for it, and how to get it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.page_helpers import address, ask, judge, send
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)


def test_what_is_missing_is_shown_once_with_how_to_get_it(
    chrome: Browser, start_line: Callable[..., RunningLine], models_dir: Path, data_dir: Path, tmp_path: Path
) -> None:
    """Beside the picture, of FaceNet; the banner has said the rest, of the detector, and it is not said again."""
    folder = tmp_path / "models"
    shutil.copytree(models_dir, folder, ignore=shutil.ignore_patterns("facenet-vggface2"))
    line = start_line(MODELS_DIR=str(folder), DETECT_MODEL="unheard-of")
    page = chrome
    page.url = address(line)
    page.see_as()
    image_id = send(line, data_dir / "faces" / "multiface.jpg", "friends.jpg")
    assert "facenet-vggface2" in ask(line, f"/status/{image_id}")["results"]["missing_models"]
    page.open(f"#/picture/{image_id}")
    page.until(lambda: "unheard-of" in page.text("#banner"), "the banner")
    page.until(lambda: "To get" in page.text(".findings-lack"), "how to get it")
    sentences = page.text(".findings-lack").split("\n")
    assert sentences[0] == (
        "unheard-of and facenet-vggface2 are not installed: what they would have found is not here."
    )
    how = ask(line, "/health")["missing_models"]["classify"]["facenet-vggface2"]
    assert [sentence for sentence in sentences[1:] if sentence] == [f"To get facenet-vggface2: {how}."]
    assert page.text().count("no known model is called unheard-of") == 1
    assert page.text().count("not installed") == 1
    page.until(lambda: "not made" in page.text(".strip li:last-child"), "that there is no privacy copy")
    page.driver.get("about:blank")
    assert page.complaints() == []


@pytest.mark.parametrize(("picture", "whose"), [("multiface.jpg", "these faces"), ("paul_rudd.jpg", "this face")])
def test_faces_say_that_they_cannot_be_compared(
    page: Browser, page_line: RunningLine, data_dir: Path, picture: str, whose: str
) -> None:
    """Where only FaceNet was missing, that is the consequence; where it is there by now, what to do is to run again."""
    missing = {"categories": [], "missing_models": ["facenet-vggface2"]}
    image_id = judge(page_line, data_dir / "faces" / picture, "before.jpg", **missing)
    page.open(f"#/picture/{image_id}")
    page.until(lambda: "run the picture again" in page.text(".findings-lack"), "what to do")
    assert f"facenet-vggface2 was not installed, so {whose} cannot be compared" in page.text(".findings-lack")

"""The page for everybody: phones, keyboards, screen readers, both schemes, less motion; and through an outage."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.support.browser import DESKTOP, PHONE, TABLET, Browser
from tests.support.page_helpers import LONG, MARKUP, ask, card_status, fresh, listed, send
from tests.support.places import REPOSITORY
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)

AUDIT = (REPOSITORY / "tests" / "support" / "page_audit.js").read_text()
WIDER = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
PRESSED = "return document.activeElement"


@pytest.fixture(scope="session")
def addresses(chrome: Browser, page_line: RunningLine, data_dir: Path) -> dict[str, str]:
    """The addresses of every kind of view, with what is hardest to lay out in them."""
    faces = data_dir / "faces" / "multiface.jpg"
    broken = send(page_line, faces, "failed here.jpg", "wait=60&process=false")
    next(page_line.folder.glob(f"data/images/original/{broken}.*")).write_bytes(b"no picture any more")
    ask(page_line, f"/process/{broken}", b"", "POST")
    listed(chrome, page_line, broken, filters="&status=failed")
    return {
        "gallery": "",
        "nothing found": "#/?status=waiting&filename=no-picture-has-this-name",
        "long": f"#/picture/{send(page_line, faces, LONG)}",
        "markup": f"#/picture/{send(page_line, faces, MARKUP)}",
        "waiting": f"#/picture/{send(page_line, faces, 'waits.jpg', 'wait=60&process=false')}",
        "failed": f"#/picture/{broken}",
        "line": "#/line",
        "nowhere": "#/no-such-view",
    }


def ready(page: Browser, view: str, hash_: str) -> None:
    """Open a view, and wait until what it shows is there."""
    page.expected = ["/image/"]  # the picture that was broken on purpose cannot be shown
    page.open(hash_)
    wanted = {"gallery": ".grid a.card", "line": ".failed-list li", "nowhere": ".empty", "nothing found": ".empty"}
    page.seen(wanted.get(view, ".lanes"))
    if view == "failed":
        page.until(lambda: "Failed" in page.text(".picture-state"), "failed")
    if view == "line":
        page.seen(".stage .spark")
        page.seen(".model-row")


@pytest.mark.parametrize("size", [PHONE, TABLET, DESKTOP], ids=["phone", "tablet", "desktop"])
def test_nothing_is_wider_than_the_screen(page: Browser, addresses: dict[str, str], size: tuple[int, int]) -> None:
    """No view scrolls sideways, whatever a picture is called."""
    page.see_as(size)
    for view, hash_ in addresses.items():
        ready(page, view, hash_)
        inside, screen = page.run(WIDER)
        assert inside <= screen, f"{view} is {inside} px wide on a screen of {screen}"


@pytest.mark.parametrize("width", [PHONE[0], 320])
def test_the_header_fits_whatever_the_light_says(page: Browser, width: int) -> None:
    """How the connection is has its place on the narrowest phones, also in its longest word."""
    words = re.findall(r'\["\w*", "(\w+)"\]', (REPOSITORY / "grab_service/ui/static/js/banner.js").read_text())
    assert len(words) == 5
    page.see_as((width, PHONE[1]))
    for word in words:
        fits = page.run(
            "document.querySelector('#connection span').textContent = arguments[0];"
            "const top = document.querySelector('.top-inner'); return top.scrollWidth <= top.clientWidth",
            word,
        )
        assert fits, word


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read(page: Browser, addresses: dict[str, str], dark: bool) -> None:  # noqa: FBT001
    """Each text has the contrast that WCAG's AA asks for (4.5), in both schemes; every control has a name."""
    page.see_as(dark=dark)
    for view, hash_ in addresses.items():
        ready(page, view, hash_)
        assert page.run(f"{AUDIT}\nreturn contrast()") == [], view
        assert page.run(f"{AUDIT}\nreturn nameless()") == [], view


def test_the_scheme_is_the_systems_until_one_is_chosen(page: Browser) -> None:
    """Dark where the system is dark; the button's choice wins, and is remembered."""
    ground = lambda: page.run("return getComputedStyle(document.body).backgroundColor")  # noqa: E731
    page.see_as(dark=False)
    bright = ground()
    page.see_as(dark=True)
    dark = ground()
    assert dark != bright
    page.one("#theme").click()
    assert ground() == bright
    page.open()
    assert ground() == bright, "the choice was forgotten"
    page.one("#theme").click()
    assert ground() == dark


def test_less_motion_is_no_motion(page: Browser) -> None:
    """Who asks for reduced motion sees none."""
    moving = "return document.getAnimations().length"
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.run("document.querySelector('main').innerHTML = '<span class=bone></span>'")
    assert page.run(moving) > 0
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    assert page.run(moving) == 0


def test_everything_can_be_done_by_keyboard(page: Browser, page_line: RunningLine, data_dir: Path) -> None:
    """Skip link, choosing files, opening a picture, enlarging it, leaving the dialog with the focus back: no mouse."""
    image_id = send(page_line, data_dir / "faces" / "multiface.jpg", "by keyboard.jpg")
    listed(page, page_line, image_id)
    page.open()
    page.until(lambda: card_status(page, "by keyboard.jpg"), "its card")
    keys = lambda *some: ActionChains(page.driver).send_keys(*some).perform()  # noqa: E731
    tab_to = lambda selector: _tab_to(page, selector)  # noqa: E731
    keys(Keys.TAB)
    assert page.run(PRESSED).get_attribute("id") == "skip"
    keys(Keys.ENTER)
    assert page.run(PRESSED).get_attribute("id") == "main"
    page.driver.execute_cdp_cmd("Page.setInterceptFileChooserDialog", {"enabled": True})
    page.run("document.getElementById('file-input').addEventListener('click', () => { window.asked = true; })")
    tab_to("#choose-files")
    assert page.run("return document.activeElement.matches(':focus-visible')")
    assert page.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys(Keys.ENTER)
    page.until(lambda: page.run("return window.asked"), "the file chooser")
    page.driver.execute_cdp_cmd("Page.setInterceptFileChooserDialog", {"enabled": False})
    tab_to(f'.grid a[href="#/picture/{image_id}"]')
    keys(Keys.ENTER)
    page.until(lambda: page.all(".strip img.here"), "its pictures")
    tab_to(".strip button.tile")
    keys(Keys.ENTER)
    page.seen("dialog.enlarged[open]")
    assert page.run("return document.querySelector('dialog').contains(document.activeElement)")
    before = page.text(".large-name")
    keys(Keys.ARROW_RIGHT)
    assert page.text(".large-name") != before
    keys(Keys.ESCAPE)
    page.until(lambda: not page.all("dialog"), "the dialog gone")
    assert "tile" in page.run(PRESSED).get_attribute("class"), "the focus is not where it was"


def _tab_to(page: Browser, selector: str) -> None:
    """Press Tab until the focus is on it."""
    for _ in range(150):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        if page.run("return document.activeElement.matches(arguments[0])", selector):
            return
    pytest.fail(f"{selector} cannot be reached by Tab")


def test_the_line_shows_itself(page: Browser, page_line: RunningLine, addresses: dict[str, str]) -> None:
    """Each stage with its workers, figures and chart; what was completed; the models with what serves."""
    ready(page, "line", addresses["line"])
    assert [one.text for one in page.all(".stage h3")] == list(ask(page_line, "/queue-status")["stages"])
    page.until(lambda: page.text(".stages").count("1 worker") == 5, "a worker of each stage")
    page.until(lambda: page.all(".minutes rect.completed"), "the chart")
    assert "%" in page.text(".tiles")
    serving = [one["name"] for one in ask(page_line, "/models")["models"] if one["serving"]]
    shown = [row.text for row in page.all(".model-row") if "serving" in row.text and "not serving" not in row.text]
    assert len(shown) == len(serving) > 0
    assert all(name in "\n".join(shown) for name in serving)


@pytest.fixture
def own_line(start_line: Callable[..., RunningLine]) -> RunningLine:
    """A line that a test may stop."""
    return start_line()


@pytest.fixture
def own_page(chrome: Browser, own_line: RunningLine) -> Iterator[Browser]:
    """Its page."""
    yield from fresh(chrome, own_line)


def test_an_outage_is_shown_and_ends_by_itself(
    own_page: Browser, own_line: RunningLine, data_dir: Path, tmp_path: Path
) -> None:
    """When the line goes, a banner says so; when it is back, the banner goes, and what was missed is there.

    A picture chosen meanwhile is sent once the line is back. All without a reload.
    """
    page = own_page
    page.expected = [
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_EMPTY_RESPONSE",
        "ERR_CONNECTION_RESET",
        "503",
    ]
    faces = data_dir / "faces" / "multiface.jpg"
    page.until(lambda: page.text("#connection") == "Live", "live")
    assert not page.one("#banner").is_displayed()
    own_line.stop()
    page.until(lambda: "No connection to the line" in page.text("#banner"), "the banner")
    page.until(lambda: "trying again in" in page.text("#banner"), "when it tries again")
    late = tmp_path / "chosen meanwhile.jpg"
    shutil.copy(faces, late)
    page.one("#file-input").send_keys(str(late))
    page.until(lambda: "no connection" in page.text(".upload-list"), "that it waits")
    own_line.start()
    send(own_line, faces, "sent past the page.jpg")
    page.until(lambda: page.text("#connection") == "Live" and not page.one("#banner").is_displayed(), "live again")
    for name in (late.name, "sent past the page.jpg"):
        page.until(lambda name=name: card_status(page, name) == "Completed", name)
    assert page.run("return window.noReload")

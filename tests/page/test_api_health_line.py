"""/health of a whole line: stages without their models, and rows that do not move."""

import os
import shutil
import signal
from pathlib import Path

from stageline.broker.keys import OUTCOMES, OUTCOMES_SINCE
from stageline.broker.redis_client import connect
from tests.support.browser import DESKTOP, PHONE, Browser
from tests.support.health_cases import StartLine, health, is_ready
from tests.support.page_helpers import address
from tests.support.served_api import until

pytest_plugins = ("tests.support.page_fixtures",)
NOWHERE = {"https_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1", "LEASE_SECONDS": "3"}


def test_a_line_without_its_detector_says_so_until_it_has_it(
    start_line: StartLine, models_dir: Path, tmp_path: Path, chrome: Browser
) -> None:
    """Degraded, in one sentence that the page shows too, wide and on a phone; FaceNet, which is missing as well, is
    listed and no problem. Once the model is published the line is ready."""
    own = tmp_path / "models"
    shutil.copytree(models_dir, own)
    for name in ("yolox-nano", "facenet-vggface2"):
        shutil.rmtree(own / name, ignore_errors=True)
    line = start_line(MODELS_DIR=str(own), **NOWHERE)
    until(lambda: not any("alive" in said for said in health(line)["problems"]))
    report = health(line)
    assert report["status"] == "degraded"
    (said,) = report["problems"]
    assert said.startswith("detect finds nothing by its model yolox-nano, which is missing: ")
    assert "stageline models fetch yolox-nano" in said
    assert list(report["missing_models"]["detect"]) == ["yolox-nano"]
    assert "facenet-vggface2" in report["missing_models"]["classify"]
    chrome.url, page = address(line), chrome
    for size in (DESKTOP, PHONE):
        page.see_as(size)
        page.open("#/line")
        page.until(lambda: page.text("#connection") == "Degraded", "degraded")
        shown = page.until(lambda: [one.text for one in page.all("#banner p")], "the banner")
        assert [text.casefold() for text in shown] == [said.casefold()]
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    page.one('#banner button[aria-label="Dismiss this message"]').click()
    assert not page.one("#banner").is_displayed()
    shutil.copytree(models_dir / "yolox-nano", own / "yolox-nano")
    until(lambda: is_ready(line))
    assert "detect" not in health(line)["missing_models"]
    page.until(lambda: page.text("#connection") == "Live", "live")
    page.driver.get("about:blank")
    assert page.complaints() == []


def test_a_banner_that_was_dismissed_stays_away_while_its_numbers_grow(start_line: StartLine, chrome: Browser) -> None:
    """Outbox events wait ever longer: that is no news. Something else is."""
    line = start_line(LEASE_SECONDS="3")
    until(lambda: is_ready(line))
    os.kill(line.state["pids"]["catalogue"], signal.SIGSTOP)
    redis = connect(str(line.state["redis_url"]))
    redis.rpush(OUTCOMES, "{}")
    still = lambda seconds: redis.set(OUTCOMES_SINCE, redis.time()[0] - seconds)  # noqa: E731
    still(3700)
    chrome.url, page = address(line), chrome
    page.see_as()
    page.open()
    page.until(lambda: "61 min" in page.text("#banner"), "how long")
    page.one('#banner button[aria-label="Dismiss this message"]').click()
    still(7300)
    asked = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/health')).length"
    before = page.run(f"return {asked}")
    page.until(lambda: page.run(f"return {asked}") > before + 1, "two more looks")
    assert not page.one("#banner").is_displayed()
    os.kill(line.state["pids"]["tag"], signal.SIGSTOP)
    page.until(lambda: "No tag worker is alive" in page.text("#banner"), "the news")
    page.driver.get("about:blank")
    assert page.complaints() == []


def test_a_trouble_that_was_dismissed_and_comes_back_is_shown_again(start_line: StartLine, chrome: Browser) -> None:
    """It had ended in between, alone or while something else went on: that it is there again is news."""
    line = start_line(LEASE_SECONDS="3")
    until(lambda: is_ready(line))
    redis, pid = connect(str(line.state["redis_url"])), line.state["pids"]["tag"]
    chrome.url, page = address(line), chrome
    page.see_as()
    page.open()

    def troubled(how: int) -> None:
        os.kill(pid, how)

    def shown(words: str) -> None:
        page.until(lambda: words in page.text("#banner"), words)

    def dismiss() -> None:
        page.one('#banner button[aria-label="Dismiss this message"]').click()
        assert not page.one("#banner").is_displayed()

    for _ in range(2):
        troubled(signal.SIGSTOP)
        shown("No tag worker is alive")
        dismiss()
        troubled(signal.SIGCONT)
        page.until(lambda: page.text("#connection") == "Live", "live")
    os.kill(line.state["pids"]["catalogue"], signal.SIGSTOP)
    redis.rpush(OUTCOMES, "{}")
    redis.set(OUTCOMES_SINCE, redis.time()[0] - 3700)
    shown("61 min")
    for _ in range(2):
        troubled(signal.SIGSTOP)
        shown("No tag worker is alive")
        dismiss()
        troubled(signal.SIGCONT)
        page.until(lambda: page.one("#banner").is_displayed() and "tag" not in page.text("#banner"), "the other alone")
    page.driver.get("about:blank")
    assert page.complaints() == []

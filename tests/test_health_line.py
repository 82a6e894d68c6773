"""/health of a whole line: stages without their models, and rows that do not move."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from served_door import until

from benchmarks.running_line import RunningLine
from benchmarks.servers import PostgresServer
from stageline.broker.keys import OUTCOMES, OUTCOMES_SINCE
from stageline.broker.redis_client import connect
from tests.browser import DESKTOP, PHONE, Browser
from tests.conftest import served
from tests.page_helpers import address, ask

pytest_plugins = ("tests.page_fixtures",)

NOWHERE = {"https_proxy": "http://127.0.0.1:9", "PIP_NO_INDEX": "1", "LEASE_SECONDS": "3"}
StartLine = Callable[..., RunningLine]


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL whose configuration a test may change."""
    with served(PostgresServer(tmp_path_factory.mktemp("own-postgres"))) as server:
        yield server


def health(line: RunningLine) -> Any:
    """What a line says of itself."""
    return ask(line, "/health")


def is_ready(line: RunningLine) -> bool:
    """Whether it says that all is well."""
    report = health(line)
    return report["status"] == "ready" and report["problems"] == []


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


def stopped(line: RunningLine, database: str) -> Callable[[], None]:
    """Stop the catalogue's process where it stands; how to have it go on."""
    pid = line.state["pids"]["catalogue"]
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def read_only(line: RunningLine, database: str) -> Callable[[], None]:
    """Have the database take no writes; how to have it take them again."""

    def become(how: str) -> None:
        connection = psycopg2.connect(database)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {how}")
            cursor.execute("SELECT pg_reload_conf()")
        connection.close()

    become("on")
    return lambda: become("off")


@pytest.mark.parametrize("trouble", [stopped, read_only])
def test_rows_that_do_not_move_are_a_problem_however_few(
    trouble: Callable[[RunningLine, str], Callable[[], None]],
    start_line: StartLine,
    own_postgres: PostgresServer,
    data_dir: Path,
) -> None:
    """The catalogue's process is stopped, or its database takes no writes: neither is seen by who only reads."""
    database = own_postgres.create_database("catalogue")
    line = start_line(DATABASE_URL=database, LEASE_SECONDS="3")
    until(lambda: is_ready(line))
    go_on = trouble(line, database)
    try:
        picture = min((data_dir / "coco128" / "images").glob("*.jpg")).read_bytes()
        assert ask(line, "/upload?wait=60", picture)["status"] == "completed"
        until(lambda: health(line)["status"] == "degraded")
        report = health(line)
        (said,) = report["problems"]
        assert said.startswith("the catalogue has written nothing for ")
        assert f"while {report['outcomes']['waiting']} outcomes wait" in said
        assert "DATABASE_URL" in said
        assert report["checks"]["catalogue"] == "ok"
    finally:
        go_on()
    until(lambda: is_ready(line))
    assert health(line)["outcomes"] == {"waiting": 0, "still_seconds": 0.0}


def test_a_banner_that_was_dismissed_stays_away_while_its_numbers_grow(start_line: StartLine, chrome: Browser) -> None:
    """Outcomes wait ever longer: that is no news. Something else is."""
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

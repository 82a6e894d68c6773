"""The page while the line's API answers, and the line cannot work."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.page_helpers import card_status, copied, fresh, send, upload
from tests.support.running_line import RunningLine
from tests.support.servers import RedisServer

pytest_plugins = ("tests.support.page_fixtures",)

DOWN = "The line is down: no pictures can be taken. What was sent is safe."


def test_a_line_without_its_redis_is_down(
    chrome: Browser,
    start_line: Callable[..., RunningLine],
    start_redis: Callable[..., RedisServer],
    data_dir: Path,
    tmp_path: Path,
) -> None:
    """The light and the banner say so, as long as it lasts; what is chosen meanwhile waits, and is sent afterwards."""
    redis = start_redis()
    line = start_line(REDIS_URL=redis.url, LEASE_SECONDS="3")  # after which the catalogue goes on
    pages = fresh(chrome, line)
    page = next(pages)
    page.expected = ["503", "ERR_INCOMPLETE_CHUNKED_ENCODING"]
    picture = min((data_dir / "coco128" / "images").glob("*.jpg"))
    send(line, picture, "before.jpg")
    page.until(lambda: card_status(page, "before.jpg") == "Completed", "completed")
    page.until(lambda: page.text("#connection") == "Live", "live")
    redis.kill()
    page.until(lambda: page.text("#connection") == "Down", "down")
    assert page.all("#connection.bad")
    said = page.until(lambda: [one.text for one in page.all(".banner.bad p")], "the banner")
    assert said[0] == DOWN
    assert any("Redis cannot be reached" in sentence for sentence in said[1:])
    sizes = page.run("return [...document.querySelectorAll('#banner p')].map((p) => getComputedStyle(p).fontSize)")
    assert float(sizes[1].removesuffix("px")) < float(sizes[0].removesuffix("px"))
    assert page.all('#banner button[aria-label="Dismiss this message"]') == []
    upload(page, copied(picture, tmp_path, "meanwhile.jpg"))
    page.until(lambda: "waits: the line is down" in page.text(".upload-list"), "that it waits")
    assert card_status(page, "meanwhile.jpg") is None
    redis.start()
    page.until(lambda: page.text("#connection") == "Live" and not page.one("#banner").is_displayed(), "live again")
    page.until(lambda: card_status(page, "meanwhile.jpg") == "Completed", "what was chosen meanwhile")
    assert card_status(page, "before.jpg") == "Completed"
    assert page.run("return window.noReload")
    with pytest.raises(StopIteration):
        next(pages)

"""Sending from the page: folders, drops, and a line that is full."""

import base64
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import Browser
from tests.support.page_helpers import card_status, copied, fresh, send, upload
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.page_fixtures",)
TOASTS = """
window.toasted = "";
new MutationObserver((changes) => changes.forEach(({ addedNodes }) => addedNodes.forEach(
  (node) => { window.toasted += node.textContent; }))).observe(document.getElementById("toasts"), { childList: true });
"""  # what was said, though it is shown for a moment only
DROP = """
const transfer = new DataTransfer();
const bytes = Uint8Array.from(atob(arguments[1]), (letter) => letter.charCodeAt(0));
transfer.items.add(new File([bytes], arguments[0], { type: "image/jpeg" }));
for (const type of ["dragenter", "dragover", "drop"]) {
  document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: transfer }));
}
"""


@pytest.fixture
def picture(data_dir: Path) -> Path:
    """A small picture."""
    return min((data_dir / "coco128" / "images").glob("*.jpg"))


def test_a_folder_is_sent_without_what_is_no_picture(page: Browser, picture: Path, tmp_path: Path) -> None:
    """A folder's pictures, those in folders below too, are sent; the rest is left out, and that is said."""
    folder = tmp_path / "album"
    (folder / "deeper").mkdir(parents=True)
    copied(picture, folder, "above.jpg")
    copied(picture, folder / "deeper", "below.jpg")
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "notes.txt").write_text("not a picture")
    (folder / "@eaDir").mkdir()
    copied(picture, folder / "@eaDir", "thumbnail.jpg")
    copied(picture, folder, "._above.jpg")
    page.run(TOASTS)
    page.one("#folder-input").send_keys(str(folder))
    page.until(lambda: "left out" in page.run("return window.toasted"), "what was left out")
    for name in ("above.jpg", "below.jpg"):
        page.until(lambda name=name: card_status(page, name) == "Completed", name)
    page.until(lambda: "2 of 2 files" in page.text(".upload-headline"), "their end as uploads")


def test_what_is_dropped_is_sent(page: Browser, picture: Path) -> None:
    """A picture dropped anywhere on the page is sent, and the browser does not open it."""
    page.run(DROP, "dropped.jpg", base64.b64encode(picture.read_bytes()).decode())
    page.until(lambda: card_status(page, "dropped.jpg") == "Completed", "completed")
    assert page.run("return window.noReload")


def test_a_full_line_is_waited_for(
    chrome: Browser, start_line: Callable[..., RunningLine], picture: Path, tmp_path: Path
) -> None:
    """While the line takes no more, the page says so and waits as long as it was asked to; then all are sent."""
    line = start_line(MAX_QUEUE_SIZE="2")
    pages = fresh(chrome, line)
    page = next(pages)
    page.expected = ["429"]
    pid = line.state["pids"]["resize"]
    os.kill(pid, signal.SIGSTOP)
    try:
        for n in range(2):
            send(line, picture, f"ahead-{n}.jpg", "process=true")
        upload(page, *(copied(picture, tmp_path, f"late-{n}.jpg") for n in range(3)))
        page.until(lambda: "goes on in" in page.text(".upload-headline"), "that it waits")
        assert card_status(page, "late-0.jpg") is None
    finally:
        os.kill(pid, signal.SIGCONT)
    for n in range(3):
        page.until(lambda n=n: card_status(page, f"late-{n}.jpg") == "Completed", f"late-{n}")
    with pytest.raises(StopIteration):
        next(pages)

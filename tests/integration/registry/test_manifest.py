"""models/manifest.toml says where each model comes from, and on whose terms; what is fetched is held against it."""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stageline.core.errors import ModelError
from stageline.registry import download
from tests.support.download_cases import HARMLESS, entry


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with files."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


@pytest.fixture
def mirror_url(mirror: Path) -> Iterator[str]:
    """The same, behind a URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(mirror)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("file_name", ["weights.pt", "other-name.pt"])
def test_a_mirror_comes_first(file_name: str, mirror: Path, mirror_url: str, tmp_path: Path) -> None:
    """A folder or a URL with the file, under its official name or another of the manifest's: no address is tried."""
    (mirror / file_name).write_bytes(HARMLESS)
    for place in (str(mirror), mirror_url):
        fetched = download.fetch("some", entry(mirror_names=["other-name.pt"]), place, tmp_path / "fetched")
        assert fetched.read_bytes() == HARMLESS


def test_any_of_the_checksums_is_taken(mirror: Path, tmp_path: Path) -> None:
    """Two exports of one network are both right."""
    (mirror / "weights.pt").write_bytes(HARMLESS)
    given = entry(sha256=["0" * 64, *entry()["sha256"]])
    assert download.fetch("some", given, str(mirror), tmp_path / "fetched").read_bytes() == HARMLESS


def test_each_checksum_has_its_own_size(mirror: Path, tmp_path: Path) -> None:
    """Where the manifest names several files, one of another's size is refused; the sentence has both sizes."""
    (mirror / "weights.pt").write_bytes(HARMLESS)
    checksums = ["0" * 64, *entry()["sha256"]]
    right = entry(sha256=checksums, bytes=[7, len(HARMLESS)])
    assert download.fetch("some", right, str(mirror), tmp_path / "fetched").read_bytes() == HARMLESS
    for sizes, says in (([len(HARMLESS), 7], "names (sha256);"), ([7, 8], "(sha256): 12 bytes instead of 7 or 8;")):
        with pytest.raises(ModelError, match=re.escape(says)):
            download.fetch("some", entry(sha256=checksums, bytes=sizes), str(mirror), tmp_path / "fetched")


def test_another_file_than_the_manifest_names_is_refused(mirror: Path, mirror_url: str, tmp_path: Path) -> None:
    """One byte is enough; the sentence says what each place answered, and what to put where."""
    (mirror / "weights.pt").write_bytes(HARMLESS + b"!")
    for place in (str(mirror), mirror_url):
        with pytest.raises(ModelError) as caught:
            download.fetch("some", entry(), place, tmp_path / "fetched")
        assert f"{place}/weights.pt: another file than the manifest names (sha256)" in str(caught.value)
        assert "https://127.0.0.1:9/v1/weights.pt: " in str(caught.value)
        assert str(caught.value).endswith("Set STAGELINE_MODEL_MIRROR to a folder that has weights.pt")


def test_a_file_that_does_not_end_is_not_read_to_its_end(mirror: Path, mirror_url: str, tmp_path: Path) -> None:
    """Twice the size that the manifest names is too much."""
    (mirror / "weights.pt").write_bytes(bytes(1_000_000))
    with pytest.raises(ModelError, match="more than 24 bytes"):
        download.fetch("some", entry(), mirror_url, tmp_path / "fetched")
    assert (tmp_path / "fetched").stat().st_size == 0

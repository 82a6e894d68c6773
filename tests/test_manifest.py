"""models/manifest.toml says where each model comes from, and on whose terms; what is fetched is held against it."""

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from detect_service.adapters import ADAPTERS
from detect_service.canvas import Canvas
from stageline.core.errors import ModelError
from stageline.registry import download
from stageline.registry.card import Card, made_of, read_folder
from stageline.registry.install import by_default, manifest
from tests.conftest import REPOSITORY

ENTRIES = manifest()
BUNDLED = [name for name, entry in ENTRIES.items() if entry.get("bundled")]
FETCHED = [name for name in ENTRIES if name not in BUNDLED]
KNOWN_HOSTS = {"github.com", "huggingface.co", "download.pytorch.org"}
HARMLESS = b"some weights"


@pytest.mark.parametrize("name", FETCHED)
def test_an_entry_makes_a_valid_card(name: str) -> None:
    """Licence, source, terms of the training data, input: with the network's hash, and the labels, all a card needs."""
    entry = ENTRIES[name]
    known = {key: value for key, value in entry.items() if key in Card.model_fields and key != "sha256"}
    card = made_of({"name": name, "labels": ["thing"], **known}, {"model.onnx": b"network"}).card
    assert card.training_data
    assert card.licence
    assert "AGPL" not in card.licence
    assert not entry.keys() - Card.model_fields.keys() - {
        "addresses", "package", "mirror_names", "bytes", "convert", "by_name", "extra"
    }, "a field that nothing reads"  # fmt: skip
    if card.task == "object-detection":
        assert card.adapter in ADAPTERS
        Canvas(card)


@pytest.mark.parametrize("name", FETCHED)
def test_an_entry_says_where_the_file_is_and_what_it_must_be(name: str) -> None:
    """Addresses are https, of the projects themselves; a checksum is a whole SHA-256, and the size is known."""
    entry = ENTRIES[name]
    assert ("addresses" in entry) != ("package" in entry)
    for address in entry.get("addresses", ()):
        parts = urlsplit(address)
        assert (parts.scheme, parts.query, parts.fragment) == ("https", "", "")
        assert parts.hostname in KNOWN_HOSTS
    assert "package" not in entry or re.fullmatch(r"[a-z-]+==[\d.]+", entry["package"])
    assert entry["sha256"]
    assert all(re.fullmatch(r"[0-9a-f]{64}", checksum) for checksum in entry["sha256"])
    assert len(download.sizes(entry)) == len(entry["sha256"])
    assert all(1000 < size < 2**31 for size in download.sizes(entry))
    assert entry.get("extra", "train") == "train"


@pytest.mark.parametrize("name", [name for name in FETCHED if "pytorch.org" in str(ENTRIES[name].get("addresses"))])
def test_a_checksum_begins_as_the_files_own_name_says(name: str) -> None:
    """Torchvision writes the first eight digits into the name: the ones that it compares itself."""
    (address,) = ENTRIES[name]["addresses"]
    (checksum,) = ENTRIES[name]["sha256"]
    assert checksum.startswith(address.rpartition("-")[2].removesuffix(".pth"))


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_lies_in_the_package(name: str) -> None:
    """Its card says what the manifest says."""
    entry = ENTRIES[name]
    card = read_folder(REPOSITORY / "models" / "trained" / name / entry["version"]).card
    assert (card.name, card.version, card.task) == (name, entry["version"], entry["task"])
    assert (card.title, card.licence) == (entry["title"], entry["licence"])


def test_what_needs_torch_or_much_time_is_not_fetched_unasked() -> None:
    """The line fetches its own two detectors by itself; all else that it needs lies in the package."""
    assert {"yolox-nano", "mtcnn"} == set(by_default()) - set(BUNDLED)


def test_the_converters_are_there_without_torch() -> None:
    """They can be imported, and what each of them is called with, on a machine that has none of torch's packages."""
    converters = sorted({ENTRIES[name]["convert"] for name in FETCHED if "convert" in ENTRIES[name]})
    code = (
        "import sys, inspect\nfrom importlib import import_module\n"
        "sys.modules |= dict.fromkeys(['torch', 'torchvision', 'facenet_pytorch'])\n"
        "for converter in sys.argv[1:]:\n"
        "    module, function = converter.split(':')\n"
        "    print(len(inspect.signature(getattr(import_module(module), function)).parameters))\n"
    )
    words = [sys.executable, "-c", code, *converters]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.stderr == ""
    assert done.stdout.split() == ["2"] * len(converters)
    assert len(converters) > 5


def test_torch_is_named_where_it_is_needed() -> None:
    """A converter's module that asks for torch belongs to an entry that says so."""
    for name in FETCHED:
        if "convert" in ENTRIES[name]:
            module = import_module(ENTRIES[name]["convert"].split(":")[0])
            uses_torch = "torch_export" in Path(str(module.__file__)).read_text()
            assert uses_torch == (ENTRIES[name].get("extra") == "train"), name


def entry(**changed: Any) -> dict[str, Any]:
    """An entry of the manifest for some harmless weights."""
    checksum = hashlib.sha256(HARMLESS).hexdigest()
    return {"addresses": ["https://127.0.0.1:9/v1/weights.pt"], "sha256": [checksum], "bytes": len(HARMLESS), **changed}


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

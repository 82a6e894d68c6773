"""models/manifest.toml says where each model comes from, and on whose terms; what is fetched is held against it."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from detect_service.adapters import ADAPTERS
from detect_service.canvas import Canvas
from stageline.registry import download
from stageline.registry.card import Card, made_of, read_folder
from stageline.registry.install import by_default, manifest
from tests.support.places import REPOSITORY

ENTRIES = manifest()
BUNDLED = [name for name, entry in ENTRIES.items() if entry.get("bundled")]
FETCHED = [name for name in ENTRIES if name not in BUNDLED]
KNOWN_HOSTS = {"github.com", "huggingface.co", "download.pytorch.org"}


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

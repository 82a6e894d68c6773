"""Installs the models of models/manifest.toml: bundled ones, or downloaded and converted ones."""

import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stageline.core import logs
from stageline.core.errors import ModelError
from stageline.core.settings import Settings
from stageline.registry import download
from stageline.registry.card import NETWORK, Card, ModelFiles, made_of, read_folder
from stageline.registry.repository import Repository, open_repository


@lru_cache(maxsize=1)
def manifest() -> Mapping[str, Mapping[str, Any]]:
    """Return the entries of models/manifest.toml, by name."""
    return tomllib.loads(files("models").joinpath("manifest.toml").read_text())


def by_default() -> list[str]:
    """Return the names of the models that are installed by default."""
    return [name for name, entry in manifest().items() if not entry.get("by_name")]


def is_for_a_worker(name: str) -> bool:
    """Return whether a worker may install this model itself: it is known, and converted without torch."""
    return "extra" not in manifest().get(name, {"extra": "unknown"})


def how_to_get(name: str) -> str:
    """Return the command that installs a missing model."""
    if name not in manifest():
        return f"no known model is called {name}: publish yours (docs/adding-a-model.md), or correct the setting"
    if not is_for_a_worker(name):
        return f"make setup-train, then .venv/bin/stageline models fetch {name} (it is converted by torch)"
    return f"make models (or: stageline models fetch {name})"


def install_all(names: Iterable[str], settings: Settings) -> None:
    """Install each of these models; see `install`."""
    repository = open_repository(settings)
    repository.check()
    for name in names:
        install(name, repository, settings)


def install(name: str, repository: Repository, settings: Settings) -> Card:
    """Publish the manifest's version of a model; serve it if no version is served.

    Returns:
        The card of that version, which need not be the served one: see `Repository.pointer`.

    Raises:
        ModelError: no place has the model; the text lists the places.
        Unavailable: the model store is away.
    """
    version = str(_entry(name)["version"])
    try:
        card = repository.load(name, version).card
    except ModelError:  # not published yet, or damaged
        card = _publish(name, repository, settings)
    if repository.pointer(name) is None:
        repository.promote(name, version)
    return card


def _publish(name: str, repository: Repository, settings: Settings) -> Card:
    try:
        model = _made(name, settings)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"{name} cannot be installed: {error}") from error
    repository.publish(model)
    logs.get().info("model published", model=model.card.reference)
    return model.card


def _made(name: str, settings: Settings) -> ModelFiles:
    """Return a bundled model, or download its source and convert it."""
    entry = _entry(name)
    if entry.get("bundled"):
        return read_folder(Path(str(files("models").joinpath("trained", name, entry["version"]))))
    if entry.get("extra") == "train" and find_spec("torch") is None:  # before downloading 100 MB
        raise ModelError(f"{name} needs torch: pip install 'stageline[train]', or make setup-train")
    settings.stageline_data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.stageline_data, prefix=".installing-") as scratch:
        source = download.fetch(name, entry, settings.stageline_model_mirror, Path(scratch) / "source")
        made = Path(scratch) / "made"
        made.mkdir()
        known = {key: value for key, value in entry.items() if key in Card.model_fields and key != "sha256"}
        more = _convert(entry, source, made)
        networks = {path.name: path.read_bytes() for path in sorted(made.glob("*.onnx"))}
        return made_of({"name": name, **known, **more, "source_sha256": download.sha256(source)}, networks)


def _convert(entry: Mapping[str, Any], source: Path, folder: Path) -> Mapping[str, Any]:
    """Convert the source to networks in the folder; return further fields of the card."""
    if "convert" not in entry:
        (folder / NETWORK).write_bytes(source.read_bytes())
        return {}
    module, function = entry["convert"].split(":")
    return getattr(import_module(module), function)(source, folder) or {}


def _entry(name: str) -> Mapping[str, Any]:
    try:
        return manifest()[name]
    except KeyError:
        raise ModelError(f"no model is called {name!r}; there are {', '.join(manifest())}") from None

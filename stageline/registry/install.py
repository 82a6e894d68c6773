"""Getting the models that models/manifest.toml knows: from the package, or fetched, converted and published."""

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
    """Return what models/manifest.toml knows, by name."""
    return tomllib.loads(files("models").joinpath("manifest.toml").read_text())


def by_default() -> list[str]:
    """Name the models that every line is to have."""
    return [name for name, entry in manifest().items() if not entry.get("by_name")]


def is_for_a_worker(name: str) -> bool:
    """Whether a worker that misses this model may install it by itself: known, and converted without torch."""
    return "extra" not in manifest().get(name, {"extra": "unknown"})


def how_to_get(name: str) -> str:
    """Say what to do about a model that is missing."""
    if name not in manifest():
        return f"no known model is called {name}: publish yours (docs/adding-a-model.md), or correct the setting"
    if not is_for_a_worker(name):
        return f"make setup-train, then .venv/bin/stageline models fetch {name} (it is converted by torch)"
    return f"make models (or: stageline models fetch {name})"


def install_all(names: Iterable[str], settings: Settings) -> None:
    """Have each of these models in the store; see `install`."""
    repository = open_repository(settings)
    repository.check()
    for name in names:
        install(name, repository, settings)


def install(name: str, repository: Repository, settings: Settings) -> Card:
    """Publish the manifest's version of a model, and have it served where no version was.

    Returns:
        The card of that version, which may not be the one that is served: see `Repository.pointer`.

    Raises:
        ModelError: it could not be had anywhere; the text lists where it was looked for.
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
    """Take a model from the package, or fetch its source and convert it."""
    entry = _entry(name)
    if entry.get("bundled"):
        return read_folder(Path(str(files("models").joinpath("trained", name, entry["version"]))))
    if entry.get("extra") == "train" and find_spec("torch") is None:  # before a hundred megabytes are fetched
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
    """Make the networks of the source; return what the card is to say beside what the manifest does."""
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

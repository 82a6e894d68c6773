"""Installed models: ``<folder>/<name>/<version>/`` with ONNX files and, written last, the card ``model.json``."""

import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from stageline import download, logs
from stageline.errors import ModelError
from stageline.settings import Settings

CARD = "model.json"
IN_CARD = ("version", "task", "title", "licence", "source", "training_data", "input", "labels")


@dataclass(frozen=True)
class Installed:
    """A model on this machine: its folder, and what its card says."""

    name: str
    folder: Path
    card: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """How findings name it: ``yolox-nano@0.1.1``."""
        return f"{self.name}@{self.card['version']}"

    def file(self, name: str) -> Path:
        """Return the path of one of its files, after holding it against the card's sha256.

        Raises:
            ModelError: the file is missing or is not the one that was installed.
        """
        path = self.folder / name
        expected = self.card["files"].get(name)
        if expected is None or not path.is_file() or download.sha256(path) != expected:
            raise ModelError(f"{path} is damaged or missing: remove {self.folder} and run `make models`")
        return path


@lru_cache(maxsize=1)
def manifest() -> Mapping[str, Mapping[str, Any]]:
    """Return what models/manifest.toml knows, by name."""
    return tomllib.loads(files("models").joinpath("manifest.toml").read_text())


def find(name: str, settings: Settings) -> Installed | None:
    """Return the installed model of that name, or None."""
    folder = settings.models_folder / name / str(_entry(name)["version"])
    try:
        return Installed(name, folder, json.loads((folder / CARD).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / CARD} cannot be read: {error}; remove {folder} and run `make models`") from error


def install(name: str, settings: Settings) -> Installed:
    """Fetch a model, hold it against its sha256, convert it where need be, and put it in its folder, whole.

    Raises:
        ModelError: it could not be had anywhere; the text lists where it was looked for.
    """
    found = find(name, settings)
    if found is not None:
        return found
    target = settings.models_folder / name / str(_entry(name)["version"])
    try:
        _install(name, target, settings.stageline_model_mirror)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"{name} cannot be installed: {error}; MODELS_DIR={settings.models_folder}") from error
    logs.get().info("model installed", model=name, folder=str(target))
    installed = find(name, settings)
    if installed is None:
        raise ModelError(f"{target} vanished while {name} was being installed; try again")
    return installed


def _install(name: str, target: Path, mirror: str | None) -> None:
    entry = _entry(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".installing-") as scratch:
        source = download.fetch(name, entry, mirror, Path(scratch) / "source")
        made = Path(scratch) / "made"
        made.mkdir()
        _make(entry, source, made)
        _write_card(name, entry, download.sha256(source), made)
        _publish(made, target)


def find_or_install(name: str, settings: Settings) -> Installed | None:
    """Return the model, fetching it when it is missing; None, with a line in the log, when it cannot be had."""
    try:
        return install(name, settings)
    except ModelError as error:
        hint = "make models (or: stageline models fetch)"
        logs.get().warning("model missing", model=name, reason=str(error), how_to_get_it=hint)
        return None


def _entry(name: str) -> Mapping[str, Any]:
    try:
        return manifest()[name]
    except KeyError:
        raise ModelError(f"no model is called {name!r}; there are {', '.join(manifest())}") from None


def _make(entry: Mapping[str, Any], source: Path, folder: Path) -> None:
    if "convert" not in entry:
        shutil.copyfile(source, folder / "model.onnx")
        return
    module, function = entry["convert"].split(":")
    getattr(import_module(module), function)(source, folder)


def _write_card(name: str, entry: Mapping[str, Any], source_sha256: str, folder: Path) -> None:
    hashes = {path.name: download.sha256(path) for path in sorted(folder.glob("*.onnx"))}
    card = {"name": name, **{key: entry[key] for key in IN_CARD if key in entry}}
    card |= {"source_sha256": source_sha256, "files": hashes}
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")


def _publish(made: Path, target: Path) -> None:
    try:
        os.rename(made, target)  # noqa: PTH104 - Path.rename would say the same; both are one atomic step
    except OSError:
        if not (target / CARD).is_file():  # otherwise somebody installed it meanwhile
            raise

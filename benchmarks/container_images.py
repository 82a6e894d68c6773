"""The images of the services as docker, podman or buildah has them: their layers and the sizes of these."""

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).parent.parent
ENGINES = {
    "docker": ("docker", "image", "inspect"),
    "podman": ("podman", "image", "exists"),
    "buildah": ("buildah", "inspect", "--type", "image"),
}
Images = Mapping[str, Mapping[str, int]]  # an image's name → its layers, each with its bytes


def names(*, gpu: bool = False) -> list[str]:
    """Return the names of the images that scripts/images.sh builds; with ``gpu``, of the CUDA variants too."""
    environment = {**os.environ, "GPU": "1" if gpu else ""}
    command = [str(REPOSITORY / "scripts" / "images.sh"), "list"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()


def built() -> tuple[str, list[str]]:
    """Return the engine that has the images, and the images; of GPU variants only those that were built.

    Raises:
        RuntimeError: none has them all.
    """
    needed, wanted = names(), names(gpu=True)
    for engine, ask in ENGINES.items():
        if shutil.which(engine):
            found = [name for name in wanted if _succeeds([*ask, name])]
            if set(needed) <= set(found):
                return engine, found
    raise RuntimeError(f"none of {', '.join(ENGINES)} has all of {', '.join(needed)}: build them with `make images`")


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def layers(engine: str, images: Sequence[str]) -> Images:
    """Return each image's layers and their sizes, read from the archive that the engine saves.

    Raises:
        RuntimeError: the engine could not save them.
    """
    if engine == "buildah":  # saves one image at a time, and not to a pipe
        return {name: found for each in images for name, found in _pushed(each).items()}
    several = ["--multi-image-archive", "--format", "docker-archive"] if engine == "podman" else []
    with subprocess.Popen([engine, "save", *several, *images], stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        found = _read(saving.stdout)
    if saving.returncode or not found:
        raise RuntimeError(f"`{engine} save` failed; what it said is above")
    return found


def _pushed(image: str) -> Images:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.tar"
        subprocess.run(["buildah", "push", "--quiet", image, f"docker-archive:{file}:{image}"], check=True)
        with file.open("rb") as archive:
            return _read(archive)


def _read(archive: IO[bytes]) -> Images:
    """Return the sizes of the layers in a saved archive, by its manifest."""
    sizes: dict[str, int] = {}
    manifest: list[dict[str, Any]] = []
    with tarfile.open(fileobj=archive, mode="r|") as members:
        for member in members:
            sizes[member.name] = member.size
            if member.name == "manifest.json" and (file := members.extractfile(member)):
                manifest = json.load(file)
    return {each["RepoTags"][0]: {layer: sizes[layer] for layer in each["Layers"]} for each in manifest}


def shared(images: Images) -> dict[str, int]:
    """Return the bytes of each image that are in layers shared with another."""
    users = Counter(layer for found in images.values() for layer in found)
    return {name: sum(size for layer, size in found.items() if users[layer] > 1) for name, found in images.items()}


def together(images: Images) -> int:
    """Return the bytes of all images, each layer once."""
    return sum({layer: size for found in images.values() for layer, size in found.items()}.values())

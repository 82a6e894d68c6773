"""A script for ``sh`` by which rclone exports the buckets to a folder, imports them from it, or checks the folder.

The script is a text because rclone may run on another machine than Stageline, or in another container. Its only
argument is the folder. It contains the store's keys, so it is passed on the standard input of ``sh``, never on a
command line.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from stageline import __version__
from stageline.core.errors import StagelineError, Unavailable
from stageline.core.settings import Settings
from stageline.store.base import STORE_PROBE
from stageline.store.folder import TEMPORARY
from stageline.store.s3 import address

IMAGES, MODELS = "images", "models"  # the folder's names for the buckets
SUMS = "SHA256SUMS"
REMOTE = "stageline"
JSON = "application/json"
EXIT_DAMAGED = 65  # rclone does not use this status
EXIT_ABSENT = 3  # rclone's status for a missing bucket
# Objects are read in this order and written in the reverse order, so that an object which names others never exists
# without them: a picture with results has all its objects, and the version in `current` is published. Each step copies
# the objects that its pattern matches and no earlier step copied. The media types are those that rclone may not know.
ORDER: dict[str, dict[str, str | None]] = {
    IMAGES: {"/results/**": JSON, "/original/*.bmp": "image/bmp", "**": None},
    MODELS: {"/*/current": JSON, "/*/*/model.json": JSON, "**": None},
}
NOT_COPIED = (f"- {TEMPORARY}*", f"- /{STORE_PROBE}")  # unfinished files, and the probe of health checks


class Doing(StrEnum):
    """The action of a script."""

    EXPORT = "export"
    IMPORT = "import"
    CHECK = "check"


def script(settings: Settings, doing: Doing, buckets: Collection[str]) -> str:
    """Return the script; its argument is a new folder to export to, or the folder of an export.

    The script exits with EXIT_DAMAGED, and changes nothing, if the folder differs from what was exported.

    Raises:
        SettingsError: MINIO_ENDPOINT is malformed.
    """
    commands = {Doing.EXPORT: _export, Doing.IMPORT: _import, Doing.CHECK: _check}[doing]
    there = {name: shlex.quote(place) for name, place in _places(settings).items() if name in buckets}
    body = "".join(f"  {line}\n" for line in commands(there))
    exports = "".join(f"export {name}={value}\n" for name, value in _remote(settings).items())
    return (
        f"# Stageline {__version__}: the buckets' {doing}, by rclone\n"
        f"set -eu\n{exports}"
        'if [ -n "${AWS_CA_BUNDLE:-}" ]; then\n'  # older ones cannot read it
        '  export RCLONE_CA_CERT="${RCLONE_CA_CERT:-$AWS_CA_BUNDLE}"\n  unset AWS_CA_BUNDLE\nfi\n'
        'command -v rclone >/dev/null || { echo "rclone is not on the PATH: install it" >&2; exit 1; }\n'
        f'main() {{\n{body}}}\nmain "$1" </dev/null\n'
    )


def run(text: str, folder: Path) -> None:
    """Run a script on this machine; rclone prints its errors on standard error.

    Raises:
        StagelineError: rclone is missing, or the folder is damaged.
        Unavailable: rclone could not copy everything.
    """
    if shutil.which("rclone") is None:
        raise StagelineError("rclone is not on the PATH: install it, as by apt-get install rclone; nothing was changed")
    done = subprocess.run(["sh", "-s", folder.absolute()], input=text, text=True, check=False)  # noqa: S603, S607
    if done.returncode == EXIT_DAMAGED:
        raise StagelineError(f"{folder} is not as an export left it; nothing was changed")
    if done.returncode != 0:
        raise Unavailable("rclone did not copy everything, and says why above: when that is mended, run it again")


def _places(settings: Settings) -> dict[str, str]:
    """Return rclone's names of the buckets: those of the remote, or folders."""
    data = settings.stageline_data.absolute()
    places = {IMAGES: str(data / settings.s3_bucket), MODELS: str(settings.models_folder.absolute())}
    if settings.minio_endpoint:
        places[IMAGES] = f"{REMOTE}:{settings.s3_bucket}"
        if settings.models_dir is None:
            places[MODELS] = f"{REMOTE}:{settings.models_bucket}"
    return places


def _remote(settings: Settings) -> dict[str, str]:
    """Return the variables of the remote, each value quoted for sh; STAGELINE_FORWARDED overrides the endpoint."""
    found = {"RCLONE_CONFIG": "/dev/null"}
    if not settings.minio_endpoint:
        return found
    server, secure = address(settings)
    values = {
        "TYPE": "s3",
        "PROVIDER": "AWS" if re.search(r"\.amazonaws\.com(\.cn)?(:\d+)?$", server) else "Minio",  # or another S3
        "REGION": settings.s3_region or "",
        "ACCESS_KEY_ID": settings.minio_access_key or "",
        "SECRET_ACCESS_KEY": settings.minio_secret_key or "",
        "ENV_AUTH": "false" if settings.minio_access_key else "true",  # the standard AWS chain
    }
    endpoint = f"{'https' if secure else 'http'}://{server}"
    prefix = f"RCLONE_CONFIG_{REMOTE.upper()}_"
    found |= {f"{prefix}{name}": shlex.quote(value) for name, value in values.items() if value}
    return found | {f"{prefix}ENDPOINT": f"${{STAGELINE_FORWARDED:-{shlex.quote(endpoint)}}}"}


def _export(places: dict[str, str]) -> Iterator[str]:
    yield "umask 077"  # people's pictures
    yield 'mkdir -p "$1"'
    for bucket, place in places.items():
        steps = (f'rclone copy --quiet {_filters(bucket, step)} {place} "$1/{bucket}"' for step in ORDER[bucket])
        yield from _if_folder_exists(place, steps if bucket == IMAGES else _if_bucket_exists(place, steps))
    yield f'rclone hashsum sha256 --quiet {_TREES} --output-file "$1/{SUMS}" "$1"'


def _import(places: dict[str, str]) -> Iterator[str]:
    yield from _check(places)
    for bucket, place in places.items():
        yield f'if [ -d "$1/{bucket}" ]; then'
        yield from _if_folder_exists(place, _import_one(bucket, place))
        yield "fi"


def _import_one(bucket: str, place: str) -> Iterator[str]:
    for step, kind in reversed(ORDER[bucket].items()):
        header = f"--header-upload 'Content-Type: {kind}' " if kind else ""
        yield f'rclone copy --quiet --no-update-modtime {header}{_filters(bucket, step)} "$1/{bucket}" {place}'
    yield f'rclone check --quiet --one-way --download {_rules(*NOT_COPIED)} "$1/{bucket}" {place}'


def _if_bucket_exists(place: str, commands: Iterable[str]) -> Iterator[str]:
    """Run the commands only if the bucket exists: models may be elsewhere, for example in each image."""
    yield f"code=0; rclone lsf --max-depth 1 {place} >/dev/null 2>&1 || code=$?"
    yield f"if [ $code != {EXIT_ABSENT} ]; then"
    yield from commands
    yield "fi"


def _if_folder_exists(place: str, commands: Iterable[str]) -> Iterator[str]:
    """Run the commands only if the bucket is on a server, or its folder is on the machine that runs the script."""
    if place.startswith(REMOTE):
        yield from commands
        return
    yield f"if [ -d {place} ]; then"
    yield from commands
    yield f'else echo "the folder "{place}" is not here, so it is left as it is" >&2'
    yield "fi"


def _check(_: dict[str, str]) -> Iterator[str]:
    yield (
        f'[ -f "$1/{SUMS}" ] || {{ echo "$1 has no {SUMS}: it is no export of the buckets, or not a whole one" >&2; '
        f"exit {EXIT_DAMAGED}; }}"
    )
    yield f'rclone checksum sha256 --quiet {_TREES} "$1/{SUMS}" "$1" || exit {EXIT_DAMAGED}'


def _filters(bucket: str, step: str) -> str:
    """Return the filters of a step: its pattern, without the patterns of earlier steps."""
    steps = list(ORDER[bucket])
    return _rules(*NOT_COPIED, *(f"- {each}" for each in steps[: steps.index(step)]), f"+ {step}", "- **")


def _rules(*rules: str) -> str:
    return " ".join(f"--filter {shlex.quote(rule)}" for rule in rules)


_TREES = f"--include '/{{{IMAGES},{MODELS}}}/**'"

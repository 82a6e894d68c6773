"""What `docker compose config` makes of the compose files: the real one, with a .env made as its example says."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.support.places import REPOSITORY, missing

FILE = REPOSITORY / "docker-compose.yml"
TEST_FILE = REPOSITORY / "docker-compose.test.yml"
TEST_ENV = REPOSITORY / "tests" / "compose" / "test.env"
EXAMPLE = REPOSITORY / ".env.example"
MAKER = REPOSITORY / "scripts" / "compose-env.sh"
PROFILES = ("line", "gpu", "postgres", "monitoring", "backup")
CHAIN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION")
OLDEST = (2, 24)  # the first whose env_file may be missing


@lru_cache(maxsize=1)
def compose_command() -> list[str]:
    """Docker's plugin where this machine has it, else the program of its own."""
    for command in (["docker", "compose"], ["docker-compose"]):
        try:
            said = subprocess.run(
                [*command, "version", "--short"],
                capture_output=True, text=True, check=False, timeout=60, env=_environment(),
            )  # fmt: skip
        except FileNotFoundError:
            continue
        numbers = re.match(r"v?(\d+)\.(\d+)", said.stdout.strip())
        if said.returncode == 0 and numbers and tuple(map(int, numbers.groups())) >= OLDEST:
            return command
    return missing("no Docker Compose of 2.24 or newer: `make servers` builds it, or install docker-compose-plugin")


def config(
    env_file: Path, profiles: Iterable[str] = (), *files: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config`, on docker-compose.yml unless other files are named, the later over the earlier.

    Nothing of this machine's environment reaches it.
    """
    chosen = [part for file in files or (FILE,) for part in ("-f", str(file))]
    chosen += [part for profile in profiles for part in ("--profile", profile)]
    return subprocess.run(
        [*compose_command(), "--env-file", str(env_file), *chosen, "config", "--format", "json"],
        capture_output=True, text=True, check=False, timeout=120,
        env=_environment() | environment,
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """What `docker compose` is run with: a plugin in a person's own folder is not found."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def parsed(env_file: Path, profiles: Iterable[str] = (), *files: Path, **environment: str) -> dict[str, Any]:
    """The services by their names."""
    done = config(env_file, profiles, *files, **environment)
    assert done.returncode == 0, done.stderr
    assert "level=warning" not in done.stderr, done.stderr
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


def make_env(folder: Path) -> Path:
    """A .env, as scripts/compose-env.sh makes it."""
    (folder / "scripts").mkdir()
    shutil.copy(EXAMPLE, folder)
    shutil.copy(MAKER, folder / "scripts")
    subprocess.run([folder / "scripts" / MAKER.name], check=True, timeout=60)
    return folder / ".env"


def values_in(env_file: Path) -> dict[str, str]:
    """What it sets."""
    rows = (row.split("=", 1) for row in env_file.read_text().splitlines() if re.match(r"[A-Z_]+=", row))
    return dict(rows)

"""What helps those who work on the project says the same in each place where it is said."""

import re
from fnmatch import fnmatchcase

import yaml

from stageline import __version__
from tests.support.places import REPOSITORY


def test_every_linter_is_a_hook() -> None:
    """What `make lint` runs is run before a commit too, by the same command."""
    (parts,) = re.findall(r"^lint: (.+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    (local,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == [f"make --silent {part}" for part in parts.split()]
    assert {hook["language"] for hook in local["hooks"]} == {"system"}


def test_the_newest_release_is_this_version() -> None:
    """CHANGELOG.md and the release notes have a section for it, before all others."""
    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    changes = re.findall(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    notes = re.findall(r"^## (\S+)$", (REPOSITORY / "docs" / "release-notes.md").read_text(), re.MULTILINE)
    assert changes[0] == notes[0] == __version__


def test_updates_are_looked_for_wherever_versions_are_pinned() -> None:
    """Each folder with pinned requirements, and each with a Dockerfile, is one that the configuration names."""
    updates = yaml.safe_load((REPOSITORY / ".github" / "dependabot.yml").read_text())["updates"]
    folders = {each["package-ecosystem"]: each.get("directories", [each.get("directory")]) for each in updates}
    pinned = {"pip": "*/requirements*.txt", "docker": "*_service/Dockerfile", "docker-compose": "docker-compose.yml"}
    for ecosystem, pattern in pinned.items():
        found = {f"/{path.parent.relative_to(REPOSITORY)}".removesuffix(".") for path in REPOSITORY.glob(pattern)}
        assert found
        named = folders[ecosystem]
        assert [folder for folder in found if not any(fnmatchcase(folder, each) for each in named)] == []

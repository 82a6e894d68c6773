"""Each room says which rooms it may use, and uses no other; pyproject.toml has the layers that lint-imports holds."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import REPOSITORY

USES = re.compile(r"(?s)\S.*[.:] May use: (.+)\.")
ROOMS = [path.parent for top in ("stageline", "grab_service") for path in (REPOSITORY / top).glob("*/__init__.py")]
MAX_ROOMS = 15


def imported(path: Path) -> Iterator[str]:
    """Every dotted name that a file imports, of modules and of what is in them, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: f"{room.parent.name}.{room.name}")
def test_a_room_uses_only_the_rooms_that_its_first_line_names(room: Path) -> None:
    """The first line of its ``__init__`` names them; type-only imports count."""
    beside = {path.name for path in ROOMS if path.parent == room.parent} - {room.name}
    first = (ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or "").splitlines()[0]
    said = USES.fullmatch(first)
    assert said, f"the first line of {room.name}/__init__.py does not end in 'May use: <rooms>.'"
    may = {"no other room": set(), "every other room": beside}.get(said[1], set(said[1].split(", ")))
    assert may <= beside, f"{room.name} names rooms that are not there"
    names = {name for path in room.rglob("*.py") for name in imported(path)}
    used = {name.split(".")[1] for name in names if name.split(".")[0] == room.parent.name} & beside
    assert used <= may, f"{room.name} uses {sorted(used - may)}, which its first line does not name"


def test_stageline_has_few_rooms_and_nothing_beside_them() -> None:
    """What is on the floor itself is what users import and start: the client, and ``python -m stageline``."""
    folder = REPOSITORY / "stageline"
    assert len([room for room in ROOMS if room.parent == folder]) <= MAX_ROOMS
    assert {path.name for path in folder.glob("*.py")} == {"__init__.py", "__main__.py", "client.py"}


def test_no_module_of_a_service_is_imported_by_a_text() -> None:
    """Such an import is not seen by lint-imports, so only the table of stages has one."""
    importing = {
        str(path.relative_to(REPOSITORY))
        for top in ("stageline", "models", *(path.name for path in REPOSITORY.glob("*_service")))
        for path in (REPOSITORY / top).rglob("*.py")
        if re.search(r"\b(import_module|__import__)\b", path.read_text())
    }
    of_no_service = {
        "stageline/registry/install.py",  # what converts a model, as models/manifest.toml names it
        "models/torch_export.py",  # torch and what belongs to it, which may be missing
    }
    assert importing - of_no_service == {"stageline/pipeline/line.py"}


def test_no_two_classes_share_a_name() -> None:
    """A name that is found once is found at once; a module's own, which begin with ``_``, do not count."""
    tops = ("stageline", "models", "benchmarks", *(path.name for path in REPOSITORY.glob("*_service")))
    classes: dict[str, list[str]] = {}
    for path in (path for top in tops for path in (REPOSITORY / top).rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(str(path.relative_to(REPOSITORY)))
    assert {name: places for name, places in classes.items() if len(places) > 1} == {}

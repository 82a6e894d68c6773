"""The house stays a house: imports run one way, requirements come from one lock, the CPU line loads no torch."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from stageline import __version__
from stageline.broker import keys
from stageline.core.settings import Settings
from stageline.pipeline import line
from tests.support.places import REPOSITORY

SERVICES = sorted(path.name for path in REPOSITORY.glob("*_service") if path.is_dir())


def imports_of(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every module that a folder's code imports, by its first name."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                yield path, node.module.split(".")[0]


def pins_in(path: Path) -> set[str]:
    """Each requirement with its hashes, as one text."""
    text = "\n".join(row for row in path.read_text().splitlines() if not row.startswith("#"))
    return {" ".join(block.split()) for block in text.replace("\\\n", " ").splitlines() if block.strip()}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_itself_and_stageline_only(service: str) -> None:
    """Arrows run services → stageline → libraries: no service imports another, the benchmarks or the tests."""
    forbidden = {*SERVICES, "benchmarks", "tests"} - {service}
    assert [(str(path), name) for path, name in imports_of(REPOSITORY / service) if name in forbidden] == []


def test_stageline_imports_no_service() -> None:
    """The shared library knows the services only through the table that is the line."""
    forbidden = {*SERVICES, "benchmarks", "tests"}
    assert [(str(path), name) for path, name in imports_of(REPOSITORY / "stageline") if name in forbidden] == []
    naming = [
        path.name
        for path in (REPOSITORY / "stageline").rglob("*.py")
        if any(f'"{service}' in path.read_text() for service in SERVICES)
    ]
    assert naming == ["line.py"]


def test_a_conftest_is_imported_by_its_folder() -> None:
    """There are two: which one `conftest` alone names depends on which was read last."""
    tests = REPOSITORY / "tests"
    assert [str(path.relative_to(tests)) for path, name in imports_of(tests) if name == "conftest"] == []


def test_the_chaos_suite_knows_nothing_of_what_is_inside() -> None:
    """It imports the client that users have, and no more: so it judges any version that is installed."""
    modules = set()
    for path in sorted((REPOSITORY / "tests" / "chaos").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                modules.add(node.module)
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
    inside = {"stageline", "models", *SERVICES}
    assert {name for name in modules if name.split(".")[0] in inside} == {"stageline.client"}


def test_every_service_is_in_the_line_and_complete() -> None:
    """Each folder is a stage of the table, the API or the catalogue, and has what a service has."""
    assert sorted([line.API_PACKAGE, line.CATALOGUE_PACKAGE, *(stage.package for stage in line.LINE)]) == SERVICES
    for service in SERVICES:
        for name in ("__init__.py", "__main__.py", "Dockerfile", "requirements.in", "requirements.txt"):
            assert (REPOSITORY / service / name).is_file(), f"{service} has no {name}"


@pytest.mark.parametrize(
    "path",
    [str(path.relative_to(REPOSITORY)) for path in sorted(REPOSITORY.glob("*/requirements*.txt"))]
    + [f"requirements/{name}.txt" for name in ("line", "test", "docs")],
)
def test_requirements_come_from_the_one_lock(path: str) -> None:
    """Every pin, with every hash, stands in requirements.lock: `make lock` was run."""
    pins = pins_in(REPOSITORY / path)
    assert len(pins) > 10
    assert pins <= pins_in(REPOSITORY / "requirements.lock")
    assert all("--hash=sha256:" in pin for pin in pins)


def test_what_is_asked_for_is_in_the_lock() -> None:
    """Each direct dependency of pyproject.toml and of the services is pinned where it is installed."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = {"requirements/line.txt": project["dependencies"]}
    for service in SERVICES:
        rows = [*(REPOSITORY / service / "requirements.in").read_text().splitlines()]
        rows += (REPOSITORY / "stageline" / "requirements.in").read_text().splitlines()
        wanted[f"{service}/requirements.txt"] = [row for row in rows if row and row[0].isalpha()]
    for path, requirements in wanted.items():
        pinned = {pin.split("==")[0].split("[")[0] for pin in pins_in(REPOSITORY / path)}
        for requirement in requirements:
            name = requirement.split(";")[0].split(">")[0].split("=")[0].split("[")[0].strip()
            assert name in pinned, f"{name} is not in {path}: run `make lock`"


def test_a_services_requirements_are_enough() -> None:
    """What a service imports, itself or through stageline, is in its own requirements."""
    names = {"cv2": "opencv-python-headless", "PIL": "pillow", "prometheus_client": "prometheus-client"}
    names |= {"pydantic_settings": "pydantic-settings", "ulid": "python-ulid", "psycopg2": "psycopg2-binary"}
    names |= {"flask_openapi3": "flask-openapi3", "flask_openapi3_swagger": "flask-openapi3-swagger"}
    for service in SERVICES:
        code = (
            f"import sys; import {service}.{'http.app' if service == line.API_PACKAGE else 'service'}\n"
            "import stageline.worker.main, stageline.worker.loop\n"
            "print('\\n'.join({name.split('.')[0] for name in sys.modules}))"
        )
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        pinned = {pin.split("==")[0].split("[")[0] for pin in pins_in(REPOSITORY / service / "requirements.txt")}
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        ours = {req.split(">")[0].split("[")[0].split(";")[0].strip() for req in project["dependencies"]}
        used = ({names.get(name, name) for name in loaded} & ours) - {"rich"}  # structlog takes it where it is there
        assert used <= pinned, f"{service} loads {used - pinned}, which its requirements lack"


def test_the_cpu_line_loads_no_torch() -> None:
    """Serving on a CPU imports no torch, even where it is installed."""
    code = (
        "import sys\nfrom stageline.pipeline import line\n"
        "[__import__(f'{stage.package}.service') for stage in line.LINE]\nimport grab_service.http.app\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_locks_carry_no_addresses() -> None:
    """A lock names what and which hash, not where from."""
    for path in [REPOSITORY / "requirements.lock", *REPOSITORY.glob("*/requirements*.txt")]:
        assert "://" not in path.read_text(), path


def test_images_share_what_they_can_and_show_their_version() -> None:
    """The Dockerfiles begin with the same lines, which are then the same layers, and are labelled as what they are."""
    dockerfiles = {service: (REPOSITORY / service / "Dockerfile").read_text() for service in SERVICES}
    shared = {text[text.index("FROM ") : text.index("WORKDIR ")] for text in dockerfiles.values()}
    assert len(shared) == 1
    for service, text in dockerfiles.items():
        name = service.removesuffix("_service")
        assert text.startswith(f"# docker build -f {service}/Dockerfile -t stageline/{name}:{__version__} .")
        assert f'image.title="stageline-{name}" org.opencontainers.image.version="{__version__}"' in text
        assert f'ENTRYPOINT ["python", "-P", "-m", "{service}"]' in text
        assert "USER 10001:10001" in text


def test_every_package_is_in_the_distribution() -> None:
    """What pyproject.toml says to install, and to type-check, holds every package of the line."""
    tool = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]
    installed = tool["setuptools"]["packages"]["find"]["include"]
    for top in ("stageline", "models", *SERVICES):
        assert any(fnmatchcase(top, pattern) for pattern in tool["mypy"]["files"]), f"mypy does not look at {top}"
        for marker in (REPOSITORY / top).rglob("__init__.py"):
            package = ".".join(marker.parent.relative_to(REPOSITORY).parts)
            assert any(fnmatchcase(package, pattern) for pattern in installed), f"{package} would not be installed"


def test_the_environment_is_read_in_one_place() -> None:
    """Apart from the settings it is only handed on to child processes."""
    readers = {
        str(path.relative_to(REPOSITORY))
        for top in ("stageline", "models", *SERVICES)
        for path in (REPOSITORY / top).rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text().replace("**os.environ", ""))
    }
    assert readers == {"stageline/core/settings.py", "stageline/worker/main.py"}


def test_every_setting_is_documented() -> None:
    """docs/setup.md names each environment variable that is read, and none that is not."""
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`(?=[^|\n]*\|)", (REPOSITORY / "docs" / "setup.md").read_text()))
    assert {name.upper() for name in Settings.model_fields} <= documented


def test_every_setting_stands_in_the_table_of_json_keys() -> None:
    """Decision 21 says which variable takes the place of each key of a JSON configuration, and names no other."""
    (record,) = (REPOSITORY / "docs" / "decisions").glob("*-first-design.md")
    rows = [row.split("|")[2] for row in record.read_text().splitlines() if row.startswith("|")]
    named = {name for cell in rows for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", cell)}
    assert named == {name.upper() for name in Settings.model_fields} | {"AWS_REGION"}


def test_the_docs_show_the_length_of_every_queue() -> None:
    """docs/troubleshooting.md has `redis-cli llen` for each list of the line, by the name that Redis knows."""
    shown = re.findall(r"^redis-cli llen (\S+)", (REPOSITORY / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    assert shown == [*(stage.queue for stage in line.LINE), keys.OUTCOMES, keys.DEAD_LETTERS]


def test_each_process_that_accepts_pictures_gets_status_ttl() -> None:
    """The default of a producer is for tests: in the line itself each is made with the setting."""
    calls = [
        (str(path.relative_to(REPOSITORY)), ast.unparse(node))
        for top in ("stageline", *SERVICES)
        for path in (REPOSITORY / top).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Producer"
    ]
    assert len(calls) >= 4, "they have another name now"
    assert [call for call in calls if "status_ttl" not in call[1]] == []

"""The page before a real line, in a real Chromium: fixtures for tests/test_page*.py."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stageline.core.settings import Settings
from stageline.registry.install import manifest
from stageline.registry.repository import open_repository
from tests.support.browser import Browser, chromium
from tests.support.page_helpers import fresh
from tests.support.places import missing
from tests.support.running_line import RunningLine
from tests.support.tiny_embedder import cells


@pytest.fixture(scope="session")
def page_models(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The line's models, the classifier as it is shipped, and one that embeds faces, for the search."""
    folder = tmp_path_factory.mktemp("page-models") / "models"
    shutil.copytree(models_dir, folder)
    repository = open_repository(Settings(models_dir=folder))
    classifier = Settings().classify_model
    repository.promote(classifier, str(manifest()[classifier]["version"]))  # an older one may have been served here
    if repository.pointer("facenet-vggface2") is None:
        repository.publish(cells())
        repository.promote("facenet-vggface2", "1")
    return folder


@pytest.fixture(scope="session")
def page_line(page_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLine]:
    """A line for all tests of the page; each sends pictures of its own."""
    line = RunningLine(tmp_path_factory.mktemp("page-line"), {"MODELS_DIR": str(page_models)})
    try:
        line.start()
        yield line
    finally:
        line.kill()


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    """A Chromium, where this machine has one."""
    try:
        with chromium("about:blank") as found:
            yield found
    except FileNotFoundError as error:
        missing(str(error))


@pytest.fixture
def page(chrome: Browser, page_line: RunningLine) -> Iterator[Browser]:
    """The page of the shared line, as on a desktop, in light; what its console logs is an error in every test."""
    yield from fresh(chrome, page_line)

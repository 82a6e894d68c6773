"""What the chaos tests share: deployments that are ended with the test, and pictures that are made here."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.deployment import Deployment
from tests.support.cutting_proxy import CuttingProxy
from tests.support.fixtures import data_dir, models_dir  # noqa: F401 - fixtures


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long ones to `make test-chaos`."""
    if os.environ.get("CHAOS") == "long":
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture
def deploy(tmp_path: Path, models_dir: Path) -> Iterator[Callable[..., Deployment]]:  # noqa: F811
    """Make deployments with given settings, not yet started; whatever runs at the end is killed."""
    made: list[Deployment] = []

    def make(**settings: str) -> Deployment:
        made.append(Deployment(tmp_path / f"deployment-{len(made)}", models_dir, **settings))
        return made[-1]

    yield make
    for deployment in made:
        deployment.end()


@pytest.fixture
def new_proxy() -> Iterator[Callable[[], CuttingProxy]]:
    """Make proxies whose target is set later; at the end each is mended and closed."""
    made: list[CuttingProxy] = []

    def make() -> CuttingProxy:
        made.append(CuttingProxy(0))
        return made[-1]

    yield make
    for proxy in made:
        proxy.mend()
        proxy.close()

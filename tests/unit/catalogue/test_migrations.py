"""Migrations: any number of processes at once, the same tables as the code's, and newer ones left alone."""

import pytest

from stageline.catalogue import Catalogue, open_engine
from stageline.core.errors import SettingsError, Unavailable
from stageline.core.settings import Settings


def test_an_unmigrated_database_is_waited_for(tmp_path) -> None:
    """A reader says so in a sentence, not with a traceback."""
    with pytest.raises(Unavailable, match="its tables are not there"):
        Catalogue(open_engine(Settings(stageline_data=tmp_path))).counts()


def test_a_database_that_is_away_is_named_without_its_password() -> None:
    """Neither the address nor the password stands in the sentence that users see."""
    engine = open_engine(Settings(database_url="postgres://us:hush-hush@127.0.0.1:1/x"))
    with pytest.raises(Unavailable, match="DATABASE_URL") as caught:
        Catalogue(engine).check()
    assert "hush" not in str(caught.value)
    with pytest.raises(SettingsError, match="DATABASE_URL") as wrong:
        open_engine(Settings(database_url="postgres://us:hush-hush@host:port:x/x"))
    assert "hush" not in str(wrong.value)

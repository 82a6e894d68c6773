"""Names in the catalogue: whole as they came, found by one normal form, also those that an older version wrote."""

import unicodedata

import pytest
from sqlalchemy import Engine, text

from stageline.catalogue import Catalogue, migrate, name_keys, open_engine
from stageline.catalogue.engine import writing
from stageline.catalogue.rebuild import rebuild
from stageline.catalogue.writer import Writer
from stageline.core.settings import Settings
from stageline.store import FolderStore
from tests.support.catalogue_makers import document, dump, ended, keep, upgrade
from tests.support.catalogue_reading import ids

NAMES = ["e\u0301.jpg", " a.jpg", "👨\u200d👩\u200d👧.jpg", "می\u200cخواهم.jpg", "é" * 2046 + ".jpg",
    "x" * 4090 + "1.jpg", "x" * 4090 + "2.jpg"]  # fmt: skip


@pytest.fixture
def bucket(tmp_path) -> FolderStore:
    found = FolderStore(tmp_path / "bucket")
    found.check()
    return found


def test_names_are_kept_whole_and_found_however_they_are_typed(catalogue_engine: Engine, bucket) -> None:
    """Names of 4 KiB too, which PostgreSQL indexes only by their key; rebuilding makes the same rows."""
    catalogue = Catalogue(catalogue_engine)
    for place, name in enumerate(NAMES):
        keep(bucket, document(f"p{place}", place, filename=name, filename_guessed=place == 0))
    settings = Settings(retention_days=0)
    writer = Writer(catalogue_engine, bucket, 0)
    writer.apply(
        [
            ended(document(f"p{place}", place, filename=name, filename_guessed=place == 0))
            for place, name in enumerate(NAMES)
        ]
    )
    for place, name in enumerate(NAMES):
        for form in ("NFC", "NFD"):
            typed = unicodedata.normalize(form, name)
            assert ids(catalogue, filename=typed) == ids(catalogue, filename=typed.strip()) == [f"p{place}"]
            assert catalogue.newest_named(typed)["filename"] == name
    assert [catalogue.picture(f"p{place}").get("filename_guessed") for place in range(3)] == [True, None, None]
    before = dump(catalogue_engine)
    rebuild(catalogue_engine, bucket, settings)
    assert dump(catalogue_engine) == before


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_names_of_an_older_version_get_their_keys(kind, tmp_path, bucket, request, monkeypatch) -> None:
    """A migration gives every row its key, some at a time: the row is as if it were written now."""
    monkeypatch.setattr(name_keys, "BATCH_SIZE", 3)
    url = request.getfixturevalue("postgres_server").create_database("older") if kind == "postgres" else None
    engine = open_engine(Settings(database_url=url, stageline_data=tmp_path / "data"))
    upgrade(engine, "0002")
    with writing(engine) as connection:
        columns = "image_key, filename, status, run, rank, uploaded_at, updated_at"
        for place, name in enumerate([*NAMES[:4], "x" * 251 + ".jpg", "b.jpg", None, ""]):
            row = {"key": f"p{place}", "name": name, "at": f"2026-11-21 10:00:{place:02}.000000"}
            values = "(:key, :name, 'completed', 1, 3, :at, :at)"
            connection.execute(text(f"INSERT INTO image_info ({columns}) VALUES {values}"), row)
    migrate.migrate(engine)
    catalogue = Catalogue(engine)
    for place, name in enumerate(NAMES[:4]):
        assert ids(catalogue, filename=unicodedata.normalize("NFC", name).strip()) == [f"p{place}"]
    assert ids(catalogue, filename="b.jpg") == ["p5"]
    again = dump(engine)
    migrate.migrate(engine)
    assert dump(engine) == again
    with writing(engine) as connection:  # as a writer of the version before, which goes on beside this one
        connection.execute(text("UPDATE image_info SET filename = 'c.jpg', filename_key = NULL WHERE image_key = 'p5'"))
    name_keys.fill(engine)
    assert ids(catalogue, filename="c.jpg") == ["p5"]
    Writer(engine, bucket, 0).apply([ended(document("p9", 20, filename="x" * 4000))])
    engine.dispose()

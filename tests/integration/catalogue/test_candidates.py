"""Candidates, what was looked at and not named: rows like any other's, which no filter and no summary shows."""

import json

import pytest
from sqlalchemy import Engine, event, text

from stageline.catalogue import Catalogue, Filter, clean, open_engine
from stageline.catalogue.engine import reading, writing
from stageline.catalogue.migrate import migrate
from stageline.catalogue.outbox import OutboxEvent
from stageline.catalogue.reader import page_query
from stageline.catalogue.rebuild import rebuild
from stageline.catalogue.rows import rows_of
from stageline.catalogue.writer import Writer
from stageline.core.settings import Settings
from stageline.store import FolderStore
from tests.support.candidate_cases import SHIP, plain
from tests.support.catalogue_makers import BEGAN, CANDIDATES, SHA, at, document, dump, ended, keep, upgrade
from tests.support.catalogue_reading import ids

GUESSES = [
    {"category": category, "confidence": confidence, "box": None, "model": "squeezenet1_1-imagenet@1"}
    for category, confidence in (("yawl", 0.98), ("schooner", 0.01))
]


@pytest.fixture
def writer(catalogue_engine: Engine, tmp_path) -> Writer:
    bucket = FolderStore(tmp_path / "bucket")
    bucket.check()
    return Writer(catalogue_engine, bucket, 0)


def classified(engine: Engine) -> list[dict]:
    """What the classifier said of every picture, by picture and position."""
    return [row for row in dump(engine)["prediction_results"] if row["task"] == "image-classification"]


def test_a_picture_of_which_nothing_is_named_has_its_row(catalogue_engine, writer) -> None:
    """With its category, confidence, worker, time and model, and that it is not named."""
    writer.apply([ended(plain("a", candidates=CANDIDATES[:1]))])
    (row,) = dump(catalogue_engine)["prediction_results"]
    assert row == {
        "image_key": "a", "task": "image-classification", "position": -1, "category": "truck", "confidence": 0.4,
        "hostname": "classify-host", "time": clean.time(at(4.5)), "uploaded_at": BEGAN, "model": "squeezenet-cifar10",
        "version": "2", "model_sha256": SHA, "box": None, "named": False,
    }  # fmt: skip


def test_a_search_for_a_category_finds_no_candidate(writer, catalogue_engine) -> None:
    """A page's categories, the filter alone and with others: only what is named, however sure the candidate was."""
    catalogue = Catalogue(catalogue_engine)
    cat = {"label": "cat", "score": 0.8, "box": [1, 2, 3, 4], "model": "yolox-nano@1"}
    writer.apply([ended(plain("only", 1, candidates=CANDIDATES)), ended(plain("none", 2)),
                  ended(plain("both", 3, detections=[cat], categories=[SHIP], candidates=CANDIDATES))])  # fmt: skip
    for more in ({}, {"kind": "object"}, {"status": "completed"}, {"filename": "both.jpg"}):
        assert ids(catalogue, category="cat", **more) == ["both"]
        assert ids(catalogue, category="truck", **more) == []
        assert ids(catalogue, category="ship", **more) == ["both"]
    assert catalogue.picture("only")["categories"] == []
    assert catalogue.pictures(Filter(category="cat")).images[0]["categories"] == [
        {"category": "ship", "confidence": 0.9, "objects": 0}, {"category": "cat", "confidence": 0.8, "objects": 1},
    ]  # fmt: skip


def test_imagenets_guesses_are_not_named(catalogue_engine, writer) -> None:
    """However sure they are: each has its row, and no filter and no summary of a picture includes it."""
    writer.apply([ended(plain("a", categories=[SHIP], candidates=CANDIDATES[:1], imagenet=GUESSES))])
    rows = [row for row in dump(catalogue_engine)["prediction_results"] if row["task"] == "imagenet"]
    assert [(row["position"], row["category"], row["named"]) for row in rows] == [
        (-2, "schooner", False), (-1, "yawl", False),
    ]  # fmt: skip
    catalogue = Catalogue(catalogue_engine)
    assert ids(catalogue, category="yawl") == ids(catalogue, category="yawl", kind="object") == []
    assert catalogue.picture("a")["categories"] == [{"category": "ship", "confidence": 0.9, "objects": 0}]


def test_a_later_run_names_what_was_a_candidate(catalogue_engine, writer) -> None:
    """The rows are those of the latest run, and of no earlier one."""
    writer.apply([ended(plain("a", candidates=CANDIDATES))])
    writer.apply([ended(plain("a", run=2, categories=[{**SHIP, "category": "truck"}], candidates=[]))])
    assert [(row["category"], row["named"]) for row in classified(catalogue_engine)] == [("truck", True)]
    writer.apply([json.dumps({"image_id": "a", "status": "deleted", "at": at(900)}).encode()])
    assert not any(dump(catalogue_engine).values())


def test_a_candidate_cannot_say_that_it_is_named_or_where_it_is(catalogue_engine, writer) -> None:
    """Fields of a hostile document neither name a candidate nor take another row's place; hosts of them are written."""
    forged = {**CANDIDATES[0], "named": True, "position": 0, "task": "object-detection", "image_key": "b"}
    many = [{**forged, "category": "\x00" * 9000, "box": "no"}] * 3000
    applied = writer.apply([ended(plain("a", categories=[SHIP], candidates=[forged, *many])), ended(plain("b", 1))])
    assert applied.skipped == 0
    rows = classified(catalogue_engine)
    assert {row["image_key"] for row in rows} == {"a"}
    assert [row["position"] for row in rows] == list(range(-3001, 1))
    assert [row["category"] for row in rows if row["named"]] == ["ship"]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_rows_of_an_older_version_are_named(kind, tmp_path, request) -> None:
    """Those that are there before the step, and those that a writer of the version before adds after it."""
    url = request.getfixturevalue("postgres_server").create_database("older") if kind == "postgres" else None
    engine = open_engine(Settings(database_url=url, stageline_data=tmp_path / "data"))
    upgrade(engine, "0003")
    rows = rows_of(document("a"), {}, 0)
    _insert_as_before(engine, "image_info", [rows.image])
    _insert_as_before(engine, "prediction_results", rows.predictions[:3])
    migrate(engine)
    _insert_as_before(engine, "prediction_results", rows.predictions[3:])
    assert [row["named"] for row in dump(engine)["prediction_results"]] == [True] * 4
    assert ids(Catalogue(engine), category="person") == ids(Catalogue(engine), category="automobile") == ["a"]
    bucket = FolderStore(tmp_path / "bucket")
    bucket.check()
    again = document("a", updated_at=at(50))
    assert Writer(engine, bucket, 0).apply_events([OutboxEvent.of({**again, "document": again})]).changed == 1
    assert all(row["named"] for row in dump(engine)["prediction_results"])
    engine.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_guesses_that_an_older_version_named_become_what_a_rebuild_makes(kind, tmp_path, request) -> None:
    """Their rows, and no others; taken again, the step changes nothing."""
    url = request.getfixturevalue("postgres_server").create_database("guessed") if kind == "postgres" else None
    engine = open_engine(Settings(database_url=url, stageline_data=tmp_path / "data"))
    upgrade(engine, "0005")
    bucket = FolderStore(tmp_path / "bucket")
    bucket.check()
    said = plain("a", categories=[SHIP], candidates=CANDIDATES, imagenet=[{"category": 7}, *GUESSES])
    keep(bucket, said, seed=None)
    rebuild(engine, bucket, Settings())
    wanted = dump(engine)
    was = "UPDATE prediction_results SET named = true, position = -1 - position WHERE task = 'imagenet'"
    with writing(engine) as connection:
        assert connection.execute(text(was)).rowcount == 2
    assert ids(Catalogue(engine), category="yawl") == ["a"]
    migrate(engine)
    assert dump(engine) == wanted
    assert ids(Catalogue(engine), category="yawl") == []
    engine.dispose()


def _insert_as_before(engine: Engine, table: str, rows: list[dict]) -> None:
    """Insert as the version before does: without the column that it does not know, and boxes as text."""
    with writing(engine) as connection:
        for row in rows:
            columns = {name: json.dumps(value) if isinstance(value, list) else value for name, value in row.items()}
            columns.pop("named", None)
            values = ", ".join(f":{name}" for name in columns)
            connection.execute(text(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})"), columns)


def test_a_step_changes_no_row_of_postgresqls(postgres_server, tmp_path) -> None:
    """Adding the column leaves the table's file as it is: PostgreSQL gives a table that it rewrites another one."""
    engine = open_engine(Settings(database_url=postgres_server.create_database("file"), stageline_data=tmp_path))
    upgrade(engine, "0003")
    _insert_as_before(engine, "prediction_results", rows_of(document("a"), {}, 0).predictions)
    file = text("SELECT pg_relation_filenode('prediction_results'), (SELECT min(xmin::text) FROM prediction_results)")
    with reading(engine) as connection:
        before = connection.execute(file).one()
    migrate(engine)
    with reading(engine) as connection:
        assert connection.execute(file).one() == before
    engine.dispose()


def test_pictures_are_listed_while_the_index_is_made(postgres_server, tmp_path) -> None:
    """Making an index takes long on a long table: no step that does so has locked the table against its readers."""
    settings = Settings(database_url=postgres_server.create_database("listed"), stageline_data=tmp_path)
    engine, reader = open_engine(settings), open_engine(settings)
    upgrade(engine, "0003")
    seen = []

    @event.listens_for(engine, "after_cursor_execute")
    def read(_connection, _cursor, statement: str, *_: object) -> None:
        if statement.startswith("CREATE INDEX ix_prediction_results_named"):
            with reading(reader) as connection:
                connection.execute(text("SET LOCAL lock_timeout = '500ms'"))
                seen.append(connection.scalar(text("SELECT count(*) FROM prediction_results")))

    migrate(engine)
    assert seen == [0]
    for each in (engine, reader):
        each.dispose()


def test_the_filter_walks_the_index_of_what_is_named(catalogue_engine, writer) -> None:
    """However many candidates a category has: the database plans with the index that holds none of them."""
    writer.apply([ended(plain("a", candidates=CANDIDATES))])
    query = page_query(Filter(category="cat"), None, 50)
    query = query.compile(catalogue_engine, compile_kwargs={"literal_binds": True})
    is_sqlite = catalogue_engine.dialect.name == "sqlite"
    with reading(catalogue_engine) as connection:
        if not is_sqlite:  # a table of one row is otherwise read as a whole
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {query}"))
    assert "ix_prediction_results_named" in plan, plan


def test_postgresql_knows_how_seldom_a_common_candidate_is_named(postgres_server, tmp_path) -> None:
    """Else it expects to find such pictures soon, and walks all others in vain; the row counts are the planner's."""
    engine = open_engine(Settings(database_url=postgres_server.create_database("expects"), stageline_data=tmp_path))
    migrate(engine)
    rows = "INSERT INTO prediction_results (image_key, task, position, category, confidence, time, uploaded_at, named)"
    values = "SELECT n, 'image-classification', 0, :category, 0.5, now(), now(), :named FROM generate_series({}) n"
    named = {True: ("ship", "1, 5000"), False: ("truck", "5001, 9990")}
    with writing(engine) as connection:
        for is_named, (category, numbers) in named.items():
            said = {"category": category, "named": is_named}
            connection.execute(text(f"{rows} {values.format(numbers)}"), said)
        connection.execute(text(f"{rows} {values.format('9991, 10000')}"), {"category": "truck", "named": True})
        connection.execute(text("ANALYZE prediction_results"))
        trucks = "EXPLAIN (FORMAT JSON) SELECT * FROM prediction_results WHERE named AND category = 'truck'"
        assert connection.scalar(text(trucks))[0]["Plan"]["Plan Rows"] < 100
    engine.dispose()

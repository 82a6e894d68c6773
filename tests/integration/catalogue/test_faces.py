"""The nearest faces: found by looking at all of them, or by pgvector where the server has it."""

import json

import numpy as np
import pytest
from sqlalchemy import create_mock_engine, text

from stageline.catalogue import open_engine, vector
from stageline.catalogue.engine import writing
from stageline.core.settings import Settings
from tests.support.catalogue_makers import document, embedding, ended, keep

pytest_plugins = ("tests.support.catalogue_fixtures", "tests.support.catalogue_reading")


def test_the_nearest_faces_are_those_that_numpy_finds(catalogue, writer, bucket, monkeypatch) -> None:
    """By cosine similarity, the nearest first, however few are looked at together; other models' do not count."""
    monkeypatch.setattr("stageline.catalogue.search.BATCH_SIZE", 7)
    said = [document(f"p{n:02}", n) for n in range(50)]
    for n, each in enumerate(said):
        keep(bucket, each, seed=n)
    writer.apply([ended(each) for each in said])
    every = np.array([embedding(n) for n in range(50)], "<f4")
    wanted = (every[17] * 3 + every[4]).astype(np.float32)
    similar = every @ wanted / np.linalg.norm(every, axis=1) / np.linalg.norm(wanted)
    order = np.argsort(-similar)[:10].tolist()
    found = catalogue.nearest_faces(wanted, 10)
    assert [each["image_id"] for each in found] == [f"p{n:02}" for n in order]
    assert np.allclose([each["similarity"] for each in found], similar[order], atol=1e-5)
    assert found[0] | {"similarity": 0} == {
        "image_id": "p17", "filename": "p17.jpg", "width": 640, "height": 480, "face": 0, "box": [5, 5, 9, 9],
        "similarity": 0,
    }  # fmt: skip
    assert catalogue.nearest_faces(wanted, 3, "facenet@2") == found[:3]
    assert catalogue.nearest_faces(wanted, 3, "facenet@1") == []
    for bad in (np.zeros(512), np.ones(511), np.full(512, np.nan)):
        with pytest.raises(ValueError, match="512"):
            catalogue.nearest_faces(bad, 1)


def test_pgvectors_statements_are_whole() -> None:
    """The server here may lack the extension: at least its statements take the values that they are given."""
    said: list[str] = []
    engine = create_mock_engine("postgresql+psycopg2://", lambda statement, *_: said.append(str(statement)))
    for statement in (*vector.STEPS, vector.AVAILABLE, vector.HAS_COLUMN, vector.LACKING):
        engine.execute(text(statement))
    assert len(said) == 6
    assert set(text(vector.NEAREST).compile().params) == {"wanted", "model", "most"}
    assert set(text(vector.FILL).compile().params) == {"vector", "image_key", "position"}
    numbers = np.array([0.5, -2.0, 1e-7], "<f4")
    assert np.array(json.loads(vector.literal(numbers.tobytes())), "<f4").tolist() == numbers.tolist()


@pytest.mark.parametrize(("limit", "model", "looked_at"), [(5, None, 40), (100, None, 100), (100, "m@1", 1000)])
def test_pgvectors_index_looks_at_as_many_as_are_asked_for(postgres_server, limit, model, looked_at) -> None:
    """It gives no more than it has looked at; PostgreSQL keeps such a setting even without the extension."""
    with open_engine(Settings(database_url=postgres_server.url)).connect() as connection:
        connection.execute(text(vector.LOOKED_AT), {"faces": str(vector.looked_at(limit, model))})
        assert connection.scalar(text("SHOW hnsw.ef_search")) == str(looked_at)


def test_without_pgvector_every_face_is_looked_at(catalogue_engine) -> None:
    if catalogue_engine.dialect.name == "postgresql":
        with writing(catalogue_engine) as connection:
            if connection.scalar(text(vector.AVAILABLE)):
                pytest.skip("this server has pgvector")
        assert vector.prepare(catalogue_engine) is False
    with writing(catalogue_engine) as connection:
        assert vector.is_there(connection) is False
